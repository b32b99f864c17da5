//! The tokens of SQL text, cut as SQLite's own tokenizer cuts them
//! (tokenize.c). The only place that knows where a string or a comment ends.

/// What a token is, as far as anybody here wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// White space or a comment.
    Blank,
    /// A keyword, a name or a number.
    Word,
    /// A string, or a name in quotes.
    Quoted,
    /// `?`, `?NNN`, `:name`, `@name`, `$name`.
    Parameter,
    Semicolon,
    /// An operator or a bracket, one character.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Where it begins.
    pub at: usize,
    pub text: &'a str,
    pub kind: Kind,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is this keyword, or this character.
    pub fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Other) && self.text.eq_ignore_ascii_case(word)
    }
}

/// All tokens of `sql`, one after another, blanks as well.
pub fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

pub struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.sql[self.at..];
        if rest.is_empty() {
            return None;
        }
        let (length, kind) = measure(rest);
        let token = Token { at: self.at, text: &rest[..length], kind };
        self.at += length;
        Some(token)
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Length and kind of the token at the start of `sql`, which is not empty. The
/// length always ends at a character's border.
fn measure(sql: &str) -> (usize, Kind) {
    let bytes = sql.as_bytes();
    let ends = |mark: &[u8], from: usize| {
        let from = from.min(bytes.len());
        let found = bytes[from..].windows(mark.len()).position(|part| part == mark);
        found.map_or(bytes.len(), |at| from + at + mark.len())
    };
    match bytes[0] {
        blank if blank.is_ascii_whitespace() => {
            let length = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            (length, Kind::Blank)
        }
        b'-' if bytes.starts_with(b"--") => (ends(b"\n", 2), Kind::Blank),
        b'/' if bytes.starts_with(b"/*") => (ends(b"*/", 2), Kind::Blank),
        _ if sql.starts_with(BYTE_ORDER_MARK) => (BYTE_ORDER_MARK.len(), Kind::Blank),
        b';' => (1, Kind::Semicolon),
        b'[' => (ends(b"]", 1), Kind::Quoted),
        quote @ (b'\'' | b'"' | b'`') => (quoted_length(bytes, quote), Kind::Quoted),
        b'?' => {
            let digits = bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            (1 + digits, Kind::Parameter)
        }
        b':' | b'@' | b'$' => match name_length(bytes) {
            1 => (1, Kind::Other),
            length => (length, Kind::Parameter),
        },
        first if is_word(first) => {
            (bytes.iter().take_while(|byte| is_word(**byte)).count(), Kind::Word)
        }
        _ => (1, Kind::Other),
    }
}

/// A quote inside is written twice.
fn quoted_length(sql: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < sql.len() {
        if sql[at] == quote {
            if sql.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    sql.len()
}

/// Length of `:name`; 1 if there is no name. As in Tcl, `$a::b(c)` is one.
fn name_length(sql: &[u8]) -> usize {
    let (mut at, mut letters) = (1, 0);
    while at < sql.len() {
        match sql[at] {
            byte if is_word(byte) => letters += 1,
            b'(' if letters > 0 => {
                let inside = sql[at..].iter().position(|b| b.is_ascii_whitespace() || *b == b')');
                let closed = inside.filter(|end| sql[at + end] == b')');
                return closed.map_or(at, |end| at + end + 1);
            }
            b':' if sql.get(at + 1) == Some(&b':') => at += 1,
            _ => break,
        }
        at += 1;
    }
    if letters == 0 { 1 } else { at }
}

/// Part of a word or a number: IdChar in SQLite. All bytes of a letter beyond
/// ASCII are.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_whole_text_in_order() {
        for sql in [
            "",
            "select 'it''s', \"a\"\"b\", [c], `d` -- x\n, /* y */ ?1, :n, @m, $a::b(c); --",
            "\u{feff} sel\u{e4}ct \u{1F600}; /* open",
            "- / : @ $ ' open",
        ] {
            let joined: String = tokens(sql).map(|token| token.text).collect();
            assert_eq!(joined, sql);
        }
    }

    #[test]
    fn each_token_has_its_kind() {
        let kinds: Vec<Kind> = tokens("a'b' \"c\"?2 :d;+").map(|token| token.kind).collect();
        let (word, quoted, blank, parameter) =
            (Kind::Word, Kind::Quoted, Kind::Blank, Kind::Parameter);
        assert_eq!(
            kinds,
            [
                word,
                quoted,
                blank,
                quoted,
                parameter,
                blank,
                parameter,
                Kind::Semicolon,
                Kind::Other
            ]
        );
    }
}
