//! A process that stands still at a chosen moment, so that a test can kill it there; or that dozes there, and goes on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The variable that names the fail point, and after a colon the how-manieth time it is reached: `after_bump:2`.
pub const STOP_AT: &str = "STOP_AT";

/// Where this is set, the process goes on after so many milliseconds, and says `awake`.
pub const DOZE_MILLIS: &str = "DOZE_MILLIS";

/// The variable that names the fail point at which whoever reaches it panics.
pub const PANIC_AT: &str = "PANIC_AT";

/// Stands still where [`STOP_AT`] says, after printing `reached after_bump`. Call it first in `main`.
pub fn stand_still_where_told() {
    if let Ok(point) = std::env::var(PANIC_AT) {
        fail::cfg(point, "panic").expect("A fail point can be configured.");
    }
    let Ok(told) = std::env::var(STOP_AT) else { return };
    let (point, nth) = told.split_once(':').unwrap_or((&told, "1"));
    let nth: u32 = nth.parse().expect("STOP_AT is written point:number.");
    let doze = std::env::var(DOZE_MILLIS).ok();
    let doze = doze.map(|text| Duration::from_millis(text.parse().expect("DOZE_MILLIS is a number.")));
    let name = point.to_owned();
    let times = AtomicU32::new(0);
    fail::cfg_callback(point, move || {
        if times.fetch_add(1, Ordering::SeqCst) + 1 != nth {
            return;
        }
        println!("reached {name}");
        match doze {
            Some(doze) => {
                std::thread::sleep(doze);
                println!("awake {name}");
            }
            None => loop {
                std::thread::park();
            },
        }
    })
    .expect("A fail point can be configured.");
}
