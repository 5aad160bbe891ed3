use super::*;

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn a_loop_tells_what_it_cannot_do_until_it_can() {
    let health = Health::new();
    let (sweeper, worker) = (health.part("sweeper", LONG), health.part("worker", LONG));
    assert!(health.report().is_healthy());
    sweeper.fails(Level::Degraded, "RabbitMQ is away");
    let report = health.report();
    assert!(!report.is_healthy() && report.is_ready() && report.is_alive());
    assert_eq!(report.to_string(), "sweeper: degraded: RabbitMQ is away\nworker: works");
    worker.fails(Level::NotReady, "it does not consume");
    assert!(!health.report().is_ready() && health.report().is_alive());
    sweeper.works();
    worker.works();
    assert!(health.report().is_healthy());
}

#[test]
fn a_loop_that_ends_untold_is_dead_and_one_that_was_told_is_gone() {
    let health = Health::new();
    health.part("sweeper", LONG).end();
    assert_eq!(health.report().findings, []);
    drop(health.part("worker", LONG));
    assert!(!health.report().is_alive());
    // Whoever starts it again is alive again.
    let worker = health.part("worker", LONG);
    assert!(health.report().is_healthy());
    drop(worker);
    assert!(!health.report().is_alive());
}

#[test]
fn a_loop_that_has_not_beaten_for_long_hangs() {
    let health = Health::new();
    let worker = health.part("worker", Duration::ZERO);
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(health.report().level, Level::Dead);
    assert!(health.report().to_string().contains("it has hung"), "{health:?}");
    let other = Health::new();
    let _idle = other.part("sweeper", LONG);
    assert_eq!(other.clone().and(&health).report().findings.len(), 2);
    worker.end();
    assert!(other.and(&health).report().is_healthy());
}
