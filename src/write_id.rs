//! What one write is called, wherever it is spoken of: on this machine, on the
//! primary, in an error.

use std::fmt;

/// Name of a write that is to happen once: who sends it, and a number that
/// grows with each of his writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriteId {
    /// 32 hex digits.
    pub client: String,
    pub sequence: u64,
}

impl WriteId {
    /// Reads what `Display` writes; None for anything else.
    pub fn parse(text: &str) -> Option<WriteId> {
        let (client, sequence) = text.split_once('-')?;
        let is_hex = |letter: char| matches!(letter, '0'..='9' | 'a'..='f');
        let is_digit = |letter: char| letter.is_ascii_digit();
        if client.len() != 32 || !client.chars().all(is_hex) || !sequence.chars().all(is_digit) {
            return None;
        }
        let sequence = sequence.parse().ok().filter(|number| *number <= i64::MAX as u64)?;
        (sequence > 0).then(|| WriteId { client: client.to_owned(), sequence })
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.client, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text_and_nothing_else_does() {
        let id = WriteId { client: "0123456789abcdef0123456789abcdef".to_owned(), sequence: 12 };
        assert_eq!(WriteId::parse(&id.to_string()), Some(id.clone()));
        let client = &id.client;
        for bad in [
            String::new(),
            "-1".to_owned(),
            client.clone(),
            format!("{client}-"),
            format!("{client}-0"),
            format!("{client}-+1"),
            format!("{client}-1-1"),
            format!("{client}-9223372036854775808"),
            format!("{}-1", client.to_uppercase()),
            format!("{}-1", &client[1..]),
            format!("'{}'-1", &client[2..]),
        ] {
            assert_eq!(WriteId::parse(&bad), None, "{bad}");
        }
    }
}
