//! A tower layer that opens a [`Context`] for each HTTP request, for axum and everything else built on tower.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::context::Context;

type UserOf<B> = Arc<dyn Fn(&Request<B>) -> Option<String> + Send + Sync>;

/// Opens a context named after method and path, such as `POST /users`, around each request.
///
/// What a handler spawns with `tokio::spawn`, and a response body that is streamed after the handler returned, is outside
/// of it: use [`Context::spawn`], or an explicit handle.
pub struct ContextLayer<B> {
    /// Tells the request's user, if anybody.
    user_of: UserOf<B>,
}

impl<B> ContextLayer<B> {
    /// Contexts without a user.
    pub fn new() -> Self {
        Self { user_of: Arc::new(|_| None) }
    }

    /// Contexts on behalf of the user that this function tells, for example from an extension that
    /// the authentication put into the request.
    pub fn for_user(user_of: impl Fn(&Request<B>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { user_of: Arc::new(user_of) }
    }
}

impl<B> Default for ContextLayer<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Clone for ContextLayer<B> {
    fn clone(&self) -> Self {
        Self { user_of: Arc::clone(&self.user_of) }
    }
}

impl<S, B> Layer<S> for ContextLayer<B> {
    type Service = ContextService<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextService { inner, user_of: Arc::clone(&self.user_of) }
    }
}

/// What [`ContextLayer`] makes of a service.
pub struct ContextService<S, B> {
    inner: S,
    user_of: UserOf<B>,
}

impl<S: Clone, B> Clone for ContextService<S, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), user_of: Arc::clone(&self.user_of) }
    }
}

impl<S, B> Service<Request<B>> for ContextService<S, B>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures_util::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let name = format!("{} {}", request.method(), request.uri().path());
        let context = match (self.user_of)(&request) {
            Some(user) => Context::for_user(name, user),
            None => Context::new(name),
        };
        // Inside the context from the first line of the handler on.
        let response = context.sync_scope(|| self.inner.call(request));
        Box::pin(context.scope(response))
    }
}
