//! What comes from outside and is shown to people: in errors, in the status, in
//! logs. No secret is left in it, nothing that a terminal would act upon, and
//! not more than somebody would read.

/// Longest text that is shown where one line is enough.
pub const SHORT: usize = 300;

/// Longest text that is shown of what SQL met with.
pub const LONG: usize = 4096;

/// One line of at most so many characters, in which none of the secrets is
/// left.
pub fn scrub<'a>(text: &str, longest: usize, secrets: impl Iterator<Item = &'a str>) -> String {
    // What is far behind the end need not be looked at; a secret that begins
    // before the end is still found whole.
    const BEHIND: usize = 16 * 1024;
    let visible = text.chars().take(longest + BEHIND).filter_map(visible);
    let mut line: String = visible.collect();
    // Before it is cut: half a secret would not be found. After the filter: what
    // is no longer seen in the middle of one would have hidden it.
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        line = line.replace(secret, "...");
    }
    let line = line.trim();
    match line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Line breaks are blanks; what controls a terminal, or the direction or the
/// look of the letters around it, is not there.
fn visible(letter: char) -> Option<char> {
    match letter {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Marks and embeddings of direction, joiners and other letters without
        // a width.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {
            None
        }
        '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => None,
        letter if letter.is_control() => None,
        letter => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        scrub(text, 20, ["SECRET"].into_iter())
    }

    #[test]
    fn nothing_controls_a_terminal_or_turns_the_text() {
        assert_eq!(shown("a\u{1b}[31mb\u{9b}1mc\0d"), "a[31mb1mcd");
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{200f}d\u{feff}e"), "abcde");
        assert_eq!(shown(" one\r\ntwo\u{2028}three "), "one  two three");
        assert_eq!(shown("\u{e4}\u{1f600}"), "\u{e4}\u{1f600}");
    }

    #[test]
    fn no_piece_of_a_secret_is_left_and_nothing_is_longer_than_it_may() {
        assert_eq!(shown("no SECRET SECRET"), "no ... ...");
        assert_eq!(shown("SEC\u{1b}RET SEC\u{200b}RET"), "... ...");
        assert_eq!(shown("0123456789 12345 SECRET"), "0123456789 12345 ...");
        assert_eq!(shown(&"a".repeat(50_000)), format!("{}...", "a".repeat(20)));
    }
}
