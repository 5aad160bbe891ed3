//! Runs a soak: `soak MINUTES [--seed N] [--rate WRITES_PER_SECOND] [--folder FOLDER]`. See [`promiscuous_soak`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use promiscuous_soak::world::Programs;
use promiscuous_soak::{Plan, run};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut minutes, mut seed, mut rate, mut folder) = (None, None, 60, None);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value."));
        match argument.as_str() {
            "--seed" => seed = Some(next().parse().expect("A seed is a number.")),
            "--rate" => rate = next().parse().expect("A rate is a number."),
            "--folder" => folder = Some(PathBuf::from(next())),
            number => minutes = Some(number.parse::<f64>().expect("Minutes are a number.")),
        }
    }
    let minutes = minutes.expect("How many minutes?");
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join(format!("promiscuous-soak-{seed}")));
    std::fs::create_dir_all(&folder).expect("The folder can be made.");
    let plan = Plan {
        seed,
        lasts: Duration::from_secs_f64(minutes * 60.0),
        rate,
        folder,
        programs: Programs::beside_this_one(),
        patience: Duration::from_secs(300),
    };
    let report = run(plan).await;
    println!("\n{report}");
    if report.wrong().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
