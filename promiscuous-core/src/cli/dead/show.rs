//! `promiscuous dead show`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::graveyard::Graveyard;
use super::summary::Summary;
use crate::cli::words::{Format, age, line, printable, printable_lines};
use crate::clock;
use crate::error::Error;

#[derive(Args)]
pub(super) struct Options {
    /// The letter's id, as `list` tells it.
    id: String,
    /// Bytes of the body to show at the most; 0 is all of it.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    bytes: usize,
    /// How it is written on stdout; the body is a text in both.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A letter as a program reads it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    /// What is not UTF-8 is replaced.
    body: &'a str,
    /// Whether that is only its beginning.
    cut: bool,
}

pub(super) async fn run(graveyard: &Graveyard, options: Options) -> Result<ExitCode, Error> {
    let mut letters = graveyard.open().await?;
    let mut found = None;
    while let Some(taken) = letters.next().await? {
        let summary = Summary::of(&taken);
        if summary.id == options.id {
            found = Some((summary, taken.letter.body));
            break;
        }
    }
    letters.put_back().await?;
    let Some((summary, body)) = found else {
        tracing::error!(
            "no dead letter has the id {}: `promiscuous dead list` tells which there are",
            printable(&options.id)
        );
        return Ok(ExitCode::FAILURE);
    };
    let limit = if options.bytes == 0 { body.len() } else { options.bytes.min(body.len()) };
    let text = String::from_utf8_lossy(&body[..limit]);
    let cut = limit < body.len();
    line(&match options.format {
        Format::Text => in_words(&summary, &text, cut, clock::millis()),
        Format::Json => {
            serde_json::to_string(&Shown { summary: &summary, body: &text, cut }).unwrap_or_default()
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn in_words(summary: &Summary, body: &str, cut: bool, now: u64) -> String {
    let moment = |at: Option<u64>| match at {
        Some(at) => format!("{} ago ({at} ms since 1970)", age(at, now)),
        None => "unknown".to_owned(),
    };
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { printable(&text) };
    let fields = [
        ("id", summary.id.clone()),
        ("app", or_none(summary.app.clone().unwrap_or_default())),
        ("endpoints", or_none(summary.endpoints.join(", "))),
        ("operations", or_none(summary.operations.join(", "))),
        ("written", moment(summary.written_at)),
        ("died", moment(summary.died_at)),
        ("attempts", summary.attempts.to_string()),
        ("bytes", summary.bytes.to_string()),
        ("error", or_none(summary.error.clone())),
    ];
    let mut text: String = fields.iter().map(|(name, value)| format!("{name:<11}{value}\n")).collect();
    text.push('\n');
    text.push_str(&printable_lines(body));
    if cut {
        text.push_str("\n… (cut: --bytes shows more)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::letter;
    use super::*;

    #[test]
    fn a_letter_is_shown_whole_and_harmless() {
        let summary = Summary { error: "red: \u{1b}[31m".into(), ..Summary::of(&letter()) };
        let text = in_words(&summary, "{\"a\": \"\u{1b}]0;x\u{7}\"}", true, 62_000);
        assert!(text.contains("died       60 s ago (2000 ms since 1970)"), "{text}");
        assert!(text.contains("operations update shop/user/5\n"), "{text}");
        assert!(
            text.contains("error      red: \\u{1b}[31m\n\n{\"a\": \"\\u{1b}]0;x\\u{7}\"}\n… (cut"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
}
