//! What is read by people: ages, and texts that came from elsewhere.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::ProgressStyle;

/// How data is written on stdout.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: JSON, one object a line.
    Json,
}

/// Writes a line of data. False when nobody reads any more (`| head`), which is no failure.
pub(super) fn line(text: &str) -> bool {
    writeln!(io::stdout(), "{text}").is_ok()
}

/// A text that came from elsewhere, on one line: whatever a terminal might take for a command is escaped.
pub(super) fn printable(text: &str) -> String {
    escaped(text, false)
}

/// The same, with its line breaks.
pub(super) fn printable_lines(text: &str) -> String {
    escaped(text, true)
}

fn escaped(text: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            '\n' | '\t' if keep_lines => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// At most so many characters of a text, and `…` when there were more.
pub(super) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// How long it is since a moment, both in milliseconds since 1970: `3 min`.
pub(super) fn age(moment: u64, now: u64) -> String {
    let seconds = now.saturating_sub(moment) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Reads `90s`, `10m`, `2h` or `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a time: write a whole number and its unit, such as 90s, 10m, 2h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Why nobody can be asked.
pub(super) const NO_TERMINAL: &str = "there is no terminal to ask at: pass --yes when you are sure";

/// Asks, and waits for the answer.
pub(super) async fn agreed(question: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer)
    });
    asked.await.unwrap_or(false)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// How a bar of rows looks.
pub(super) fn bar_style() -> ProgressStyle {
    let template = "{msg:32} {wide_bar} {human_pos} of {human_len}, {per_sec:>12}, {eta:>4} left";
    // Only a template that makes no sense is refused.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_might_obey_is_escaped() {
        let text = "a\u{1b}[31mred\u{9b}2J \u{202e}\r\n\"ß\" \\";
        assert_eq!(printable(text), "a\\u{1b}[31mred\\u{9b}2J \\u{202e}\\r\\n\"ß\" \\");
        assert_eq!(printable_lines("a\n\tb\r"), "a\n\tb\\r");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("éé", 2), "éé");
        assert_eq!(cut("ééé", 2), "éé…");
    }

    #[test]
    fn ages_have_the_unit_that_says_most() {
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|seconds| age(0, seconds * 1_000));
        assert_eq!(ages, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
        // A clock that is behind is no reason to panic.
        assert_eq!(age(10, 0), "0 s");
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "7", "d", "-1d", "1.5h", "7 d", "7é", "99999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes(" YES \r\n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("n\n") && !is_yes("yo\n"));
    }
}
