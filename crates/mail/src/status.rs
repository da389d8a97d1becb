//! Enhanced status codes (RFC 3463), the part of a reply that machines read.

use std::fmt;

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    pub class: Class,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

/// The first number: what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Success = 2,
    Transient = 4,
    Permanent = 5,
}

impl Status {
    pub const fn success(subject: u16, detail: u16) -> Self {
        Self { class: Class::Success, subject, detail }
    }

    pub const fn transient(subject: u16, detail: u16) -> Self {
        Self { class: Class::Transient, subject, detail }
    }

    pub const fn permanent(subject: u16, detail: u16) -> Self {
        Self { class: Class::Permanent, subject, detail }
    }

    /// Reads `5.1.1`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => Class::Success,
            "4" => Class::Transient,
            "5" => Class::Permanent,
            _ => return None,
        };
        let subject = number(parts.next()?)?;
        let detail = number(parts.next()?)?;
        parts.next().is_none().then_some(Self { class, subject, detail })
    }
}

/// One to three digits (RFC 3463 §2).
fn number(text: &str) -> Option<u16> {
    let fits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class as u8, self.subject, self.detail)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in ["2.0.0", "4.7.1", "5.1.10", "5.999.999"] {
            assert_eq!(Status::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "3.0.0", "5.1", "5.1.1.1", "5.1.1000", "5.+1.1", "a.b.c"] {
            assert_eq!(Status::parse(text), None, "{text}");
        }
    }
}
