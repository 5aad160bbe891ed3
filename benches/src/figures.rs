//! Medians, percentiles and Markdown tables.

use std::time::Duration;

/// Durations of many runs of the same thing, with the time that all of them took together.
#[derive(Default)]
pub struct Figures {
    /// Each one's.
    pub each: Vec<Duration>,
    /// All together, on a clock on the wall.
    pub whole: Duration,
}

impl Figures {
    /// Adds another round.
    pub fn add(&mut self, round: Self) {
        self.each.extend(round.each);
        self.whole += round.whole;
    }

    /// The duration that this share of all stayed below.
    pub fn percentile(&mut self, share: f64) -> Duration {
        self.each.sort_unstable();
        let at = ((self.each.len() as f64 * share).ceil() as usize).saturating_sub(1);
        self.each.get(at).copied().unwrap_or_default()
    }

    /// How many a second.
    pub fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.whole.as_secs_f64()
    }
}

/// Milliseconds, for a table.
pub fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

/// A number with thousands separated.
pub fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints the head of a table.
pub fn head(columns: &[&str]) {
    row(columns.iter().map(|c| (*c).to_owned()));
    println!("|---{}|", "|--:".repeat(columns.len().saturating_sub(1)));
}

/// Prints a line of a table.
pub fn row(cells: impl IntoIterator<Item = String>) {
    println!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "));
}
