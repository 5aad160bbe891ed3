//! The short form of `scripts/soak`.

/// nextest runs one of these at a time.
mod faults {
    use std::path::PathBuf;
    use std::time::Duration;

    use promiscuous_soak::world::Programs;
    use promiscuous_soak::{Plan, run};

    /// How long things go wrong.
    const LASTS: Duration = Duration::from_secs(45);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn under_random_faults_every_write_is_accounted_for() {
        // Given services on servers of their own, and a seed that is told.
        let seed = std::env::var("SOAK_SEED").ok().map(|text| text.parse().expect("SOAK_SEED is a number."));
        let folder = tempdir();
        let plan = Plan {
            seed: seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            lasts: LASTS,
            rate: 40,
            folder: folder.clone(),
            programs: Programs {
                service: PathBuf::from(env!("CARGO_BIN_EXE_service")),
                load: PathBuf::from(env!("CARGO_BIN_EXE_load")),
            },
            patience: Duration::from_secs(120),
        };
        // When they write while everything goes wrong,
        let report = Box::pin(run(plan)).await;
        // Then nothing is lost, doubled, unexpected or out of order, and nothing stalls.
        println!("{report}");
        let wrong = report.wrong();
        assert!(wrong.is_empty(), "logs and journals are in {}: {wrong:#?}", folder.display());
        // And something was written, and something went wrong.
        assert!(report.published.acknowledged > 100 && report.events > 10, "{report}");
        drop(std::fs::remove_dir_all(folder));
    }

    fn tempdir() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("promiscuous-soak-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("The temporary folder can be written.");
        folder
    }
}
