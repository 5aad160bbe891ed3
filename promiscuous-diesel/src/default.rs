//! The app whose connections `Promiscuous::establish` makes: it is given nothing but a URL.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::{ConnectionError, ConnectionResult};
use promiscuous_core::config::SecretUrl;
use promiscuous_core::error::{Error, chain};

use crate::app::App;
use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::running::Running;

/// By the type of the backend: a [`Running`] of it.
type Defaults = HashMap<TypeId, Box<dyn Any + Send>>;

static DEFAULTS: Mutex<Option<Defaults>> = Mutex::new(None);

fn defaults() -> MutexGuard<'static, Option<Defaults>> {
    DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on, `Promiscuous::establish` makes connections of this app.
pub(crate) fn set<DB: PromiscuousBackend>(running: Running<DB>) {
    defaults().get_or_insert_default().insert(TypeId::of::<DB>(), Box::new(running));
}

/// The app whose connections `Promiscuous::establish` makes for this backend: the one that was made the default, or was started by the
/// first of these connections. To be [shut down](Running::shut_down) at the end of a program that does not live long.
pub fn default_app<DB: PromiscuousBackend>() -> Option<Running<DB>> {
    known(&defaults())
}

fn known<DB: PromiscuousBackend>(defaults: &Option<Defaults>) -> Option<Running<DB>> {
    defaults.as_ref()?.get(&TypeId::of::<DB>())?.downcast_ref::<Running<DB>>().cloned()
}

/// What a connection to this URL has in common with the others of the default app, and the URL as Diesel takes it. Where there is none yet, one is started with the
/// configuration of the environment and all models of the program.
pub(crate) fn capture_for<DB: PromiscuousBackend>(url: &str) -> ConnectionResult<(String, Arc<Capture<DB>>)> {
    // Held while an app starts: whoever connects at the same time waits for it.
    let mut defaults = defaults();
    let running = match known(&defaults) {
        Some(running) => running,
        None => {
            let running = start::<DB>(url).map_err(|error| not_started(&error))?;
            defaults.get_or_insert_default().insert(TypeId::of::<DB>(), Box::new(running.clone()));
            running
        }
    };
    drop(defaults);
    let url = DB::connection_url(url).map_err(ConnectionError::BadConnection)?;
    if running.leads_to(&SecretUrl::new(&url)) {
        return Ok((url, running.capture()));
    }
    // Its outbox would be looked after by nobody.
    Err(ConnectionError::BadConnection(format!(
        "the app `{}` was started on another database URL than this connection's: use the same text for both, wrap this connection with \
         `Running::wrap` if it leads to the same database, or use Diesel's own connection type for a database that nothing is published from",
        running.config().app
    )))
}

fn start<DB: PromiscuousBackend>(url: &str) -> Result<Running<DB>, Error> {
    App::from_environment()?.start(url)
}

fn not_started(error: &Error) -> ConnectionError {
    ConnectionError::BadConnection(format!(
        "the app that publishes from this connection could not be started: {}. (It is configured by PROMISCUOUS_APP, AMQP_URL and \
         REDIS_URL, or promiscuous.toml; or start an `App` in the program and call `make_default`.)",
        chain(error)
    ))
}
