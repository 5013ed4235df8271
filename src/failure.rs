//! Why a token gives no claims. Said in the log at `info`, without the token, and by `$lobechat_canary_identity`.

/// A reason, from the checks that come first to those that come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Longer than [`crate::identity::MAX_TOKEN`].
    TooLarge,
    /// Not in the form that the identity expects.
    Malformed,
    /// An algorithm that the keys or `alg=` do not allow.
    Algorithm,
    /// No key has the token's `kid`.
    Key,
    /// Signed, sealed or encrypted by somebody else, or changed since.
    Signature,
    /// Another `iss` than the one configured.
    Issuer,
    /// An `aud` that does not name us.
    Audience,
    /// A required claim is missing, or one that must be a number is not.
    Claims,
    Expired,
    NotYet,
}

impl Failure {
    pub const ALL: [Failure; 10] = [
        Failure::TooLarge,
        Failure::Malformed,
        Failure::Algorithm,
        Failure::Key,
        Failure::Signature,
        Failure::Issuer,
        Failure::Audience,
        Failure::Claims,
        Failure::Expired,
        Failure::NotYet,
    ];
    pub const COUNT: usize = Failure::ALL.len();

    pub fn name(self) -> &'static str {
        match self {
            Failure::TooLarge => "too_large",
            Failure::Malformed => "malformed",
            Failure::Algorithm => "alg",
            Failure::Key => "key",
            Failure::Signature => "signature",
            Failure::Issuer => "issuer",
            Failure::Audience => "audience",
            Failure::Claims => "claims",
            Failure::Expired => "expired",
            Failure::NotYet => "not_yet",
        }
    }
}
