//! Remember and keep cookies.
