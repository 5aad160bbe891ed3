//! The routes. Nothing in the handlers knows of replication: they use `db` as they would use SeaORM's own connection.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use promiscuous_seaorm::{ContextLayer, PromiscuousConnection};
use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, IntoActiveModel, NotSet, Set};
use serde::Deserialize;

use crate::{message, user};

/// The whole service.
pub fn router(db: PromiscuousConnection) -> Router {
    Router::new()
        .route("/users", get(list_users).post(create_user))
        .route("/users/{id}", patch(change_user).delete(delete_user))
        .route("/messages", post(create_message))
        // Opens a context for each request: what it reads becomes the cause of what it writes.
        .layer(ContextLayer::for_user(current_user))
        .with_state(db)
}

/// Who sent the request. A real service would ask its authentication.
fn current_user(request: &Request) -> Option<String> {
    Some(request.headers().get("x-current-user")?.to_str().ok()?.to_owned())
}

#[derive(Deserialize)]
struct NewUser {
    name: String,
    email: String,
}

async fn create_user(
    State(db): State<PromiscuousConnection>,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<user::Model>), Failure> {
    let user = user::ActiveModel {
        id: NotSet,
        name: Set(new.name),
        email: Set(new.email),
        password_hash: Set("never published".into()),
    };
    Ok((StatusCode::CREATED, Json(user.insert(&db).await?)))
}

#[derive(Deserialize)]
struct UserChange {
    email: String,
}

/// Changes the address and tells the user, in one transaction: a subscriber applies both, or none.
async fn change_user(
    State(db): State<PromiscuousConnection>,
    Path(id): Path<i64>,
    Json(change): Json<UserChange>,
) -> Result<Json<user::Model>, Failure> {
    let both = db.begin().await?;
    let mut user = find_user(&both, id).await?.into_active_model();
    user.email = Set(change.email);
    let user = user.update(&both).await?;
    let text = Set("Your address was changed".into());
    message::ActiveModel { id: NotSet, user_id: Set(user.id), text }.insert(&both).await?;
    both.commit().await?;
    Ok(Json(user))
}

async fn delete_user(
    State(db): State<PromiscuousConnection>,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    find_user(&db, id).await?.into_active_model().delete(&db).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_users(State(db): State<PromiscuousConnection>) -> Result<Json<Vec<user::Model>>, Failure> {
    Ok(Json(user::Entity::find().all(&db).await?))
}

#[derive(Deserialize)]
struct NewMessage {
    user_id: i64,
    text: String,
}

/// Reading the user first makes the user a cause of the message: every subscriber has the user before the message.
async fn create_message(
    State(db): State<PromiscuousConnection>,
    Json(new): Json<NewMessage>,
) -> Result<(StatusCode, Json<message::Model>), Failure> {
    let user = find_user(&db, new.user_id).await?;
    let message = message::ActiveModel { id: NotSet, user_id: Set(user.id), text: Set(new.text) };
    Ok((StatusCode::CREATED, Json(message.insert(&db).await?)))
}

async fn find_user(db: &impl sea_orm::ConnectionTrait, id: i64) -> Result<user::Model, DbErr> {
    let user = user::Entity::find_by_id(id).one(db).await?;
    user.ok_or_else(|| DbErr::RecordNotFound(format!("there is no user {id}")))
}

/// What a handler answers when the database, or replication, says no.
struct Failure(DbErr);

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self.0 {
            DbErr::RecordNotFound(what) => (StatusCode::NOT_FOUND, what).into_response(),
            error => {
                tracing::error!(%error, "a request failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
