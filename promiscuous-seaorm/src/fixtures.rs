//! Entities for tests, published without the derive.

use promiscuous_core::key::{Endpoint, encode_id};
use promiscuous_core::operation::Attributes;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{IntoColumnRef, IntoValueTuple, Query, ReturningClause, SelectStatement, Value};
use sea_orm::{
    DbBackend, FromQueryResult, Iterable, PrimaryKeyToColumn, QueryResult, QuerySelect, QueryTrait,
    TryGetError, TryGetableMany,
};

use crate::model::{PublishedModel, PublishedModels};
use crate::publication::{comparable_columns, key_of_id};

pub mod cake {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cake")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub name: String,
        /// Not published.
        pub notes: Option<String>,
        #[sea_orm(unique)]
        pub code: Option<String>,
        #[sea_orm(has_many)]
        pub fruits: HasMany<super::fruit::Entity>,
        #[sea_orm(has_many, via = "cake_filling")]
        pub fillings: HasMany<super::filling::Entity>,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        /// Some names make the hook write another row, or fail.
        async fn after_save<C: ConnectionTrait>(model: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            if model.name == "with pan" {
                let pan = super::filling::ActiveModel {
                    name: sea_orm::Set("by hook".into()),
                    ..Default::default()
                };
                pan.insert(db).await?;
            }
            if model.name == "poison" {
                return Err(DbErr::Custom("the hook says no".into()));
            }
            Ok(model)
        }
    }
}

pub mod fruit {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Text")]
    pub enum Color {
        #[sea_orm(string_value = "r")]
        Red,
        #[sea_orm(string_value = "g")]
        Green,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "fruit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub color: Color,
        pub cake_id: Option<i32>,
        #[sea_orm(belongs_to, from = "cake_id", to = "id")]
        pub cake: BelongsTo<Option<super::cake::Entity>>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod filling {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "filling")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub name: String,
        #[sea_orm(has_many, via = "cake_filling")]
        pub cakes: HasMany<super::cake::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod cake_filling {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cake_filling")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub cake_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub filling_id: i32,
        #[sea_orm(belongs_to, from = "cake_id", to = "id")]
        pub cake: BelongsTo<super::cake::Entity>,
        #[sea_orm(belongs_to, from = "filling_id", to = "id")]
        pub filling: BelongsTo<super::filling::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Not published.
pub mod pan {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "pan")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// cake (without its notes), fruit, filling and cake_filling.
pub fn models() -> PublishedModels {
    PublishedModels::new([
        test_model::<cake::Entity>(&["name", "code"]),
        test_model::<fruit::Entity>(&["name", "color", "cake_id"]),
        test_model::<filling::Entity>(&["name"]),
        test_model::<cake_filling::Entity>(&["cake_id", "filling_id"]),
    ])
}

pub fn test_model<E: EntityTrait>(attributes: &[&str]) -> PublishedModel
where
    <E::PrimaryKey as PrimaryKeyTrait>::ValueType: TryGetableMany + IntoValueTuple,
{
    let table = E::default().table_name().to_owned();
    PublishedModel {
        name: table.clone(),
        endpoint: Endpoint::parse(&format!("app/{table}")).unwrap(),
        types: vec![table.clone()],
        table,
        schema: None,
        primary_key: E::PrimaryKey::iter().map(|key| key.into_column().as_str().to_owned()).collect(),
        attribute_columns: attributes.iter().map(ToString::to_string).collect(),
        has_virtual_attributes: false,
        id_of_row: id_of_row::<E>,
        id_of_values: id,
        key_columns: comparable_columns::<E>,
        key_of_id: key_of_id::<E>,
        read_row: read_row::<E>,
        returning: returning::<E>,
        select_keys: select_keys::<E>,
        select_rows: select_rows::<E>,
    }
}

fn id(values: &[Value]) -> Option<String> {
    let parts = values
        .iter()
        .map(|value| match value {
            Value::Int(Some(n)) => Some(n.to_string()),
            Value::BigInt(Some(n)) => Some(n.to_string()),
            Value::BigUnsigned(Some(n)) => Some(n.to_string()),
            Value::Uuid(Some(id)) => Some(id.to_string()),
            Value::String(Some(text)) => Some(text.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(encode_id(parts.iter().map(String::as_str)))
}

fn id_of_row<E: EntityTrait>(row: &QueryResult, columns: &[String]) -> Result<Option<String>, DbErr>
where
    <E::PrimaryKey as PrimaryKeyTrait>::ValueType: TryGetableMany + IntoValueTuple,
{
    match <<E::PrimaryKey as PrimaryKeyTrait>::ValueType>::try_get_many(row, "", columns) {
        Ok(key) => Ok(id(&key.into_value_tuple().into_iter().collect::<Vec<_>>())),
        Err(TryGetError::Null(_)) => Ok(None),
        Err(TryGetError::DbErr(error)) => Err(error),
    }
}

fn read_row<E: EntityTrait>(row: &QueryResult) -> Result<(String, Attributes), DbErr> {
    let model = E::Model::from_query_result(row, "")?;
    let key: Vec<Value> = E::PrimaryKey::iter().map(|key| model.get(key.into_column())).collect();
    let attributes = E::Column::iter()
        .map(|column| {
            (column.as_str().to_owned(), sea_orm::sea_query::sea_value_to_json_value(&model.get(column)))
        })
        .collect();
    Ok((id(&key).ok_or_else(|| DbErr::Custom("no id".into()))?, attributes))
}

fn returning<E: EntityTrait>(backend: DbBackend) -> ReturningClause {
    Query::returning().exprs(E::Column::iter().map(|c| c.select_as(c.into_returning_expr(backend))))
}

fn select_keys<E: EntityTrait>() -> SelectStatement {
    E::find().select_only().columns(E::PrimaryKey::iter().map(|key| key.into_column())).into_query()
}

fn select_rows<E: EntityTrait>() -> SelectStatement {
    let _ = E::Column::iter().map(IntoColumnRef::into_column_ref);
    E::find().into_query()
}
