//! The text format itself: one family after another, labels escaped, numbers as Prometheus reads them.

use core::fmt::Write as _;

/// What a family counts.
#[derive(Clone, Copy)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
}

pub type Labels<'l> = [(&'l str, &'l str)];

const PREFIX: &str = "lobechat_canary_";

#[derive(Default)]
pub struct Text {
    out: String,
    /// The name of the family that samples belong to, without the prefix.
    family: &'static str,
}

impl Text {
    /// Begins a family: all of its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.family = name;
        // A String takes everything.
        let _ = write!(self.out, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n");
    }

    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Into<Number>) {
        self.suffixed("", labels, value);
    }

    /// A sample of a histogram: `_bucket`, `_sum` or `_count`.
    pub fn suffixed(&mut self, suffix: &str, labels: &Labels<'_>, value: impl Into<Number>) {
        let _ = write!(self.out, "{PREFIX}{}{suffix}{{", self.family);
        for (index, (name, value)) in labels.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(self.out, "{comma}{name}=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        let _ = match value.into() {
            Number::Whole(value) => writeln!(self.out, "}} {value}"),
            Number::Real(value) if value.is_infinite() => writeln!(self.out, "}} +Inf"),
            Number::Real(value) if value.abs() >= 1e15 => writeln!(self.out, "}} {value:e}"),
            Number::Real(value) => writeln!(self.out, "}} {value}"),
        };
    }

    pub fn finish(self) -> String {
        self.out
    }
}

/// The value of a sample.
pub enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::Whole(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number::Real(value)
    }
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_labels_and_writes_numbers() {
        let mut text = Text::default();
        text.family("x", Type::Gauge, "Help.");
        text.sample(&[("a", "q\"b\\n\nä"), ("b", "")], 7_u64);
        for value in [0.25, 1e300, f64::INFINITY, 1.0] {
            text.sample(&[], value);
        }
        assert_eq!(
            text.finish(),
            "# HELP lobechat_canary_x Help.\n# TYPE lobechat_canary_x gauge\n\
             lobechat_canary_x{a=\"q\\\"b\\\\n\\nä\",b=\"\"} 7\n\
             lobechat_canary_x{} 0.25\nlobechat_canary_x{} 1e300\nlobechat_canary_x{} +Inf\nlobechat_canary_x{} 1\n"
        );
    }
}
