//! Entities with all sorts of keys.

/// An integer, and an attribute that is computed.
pub mod author {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "authors")]
    #[publish(attributes(name), virtual_attributes(initial))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
        pub secret: Option<String>,
    }

    impl Model {
        fn initial(&self) -> String {
            self.name.chars().take(1).collect()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A UUID.
pub mod member {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "members")]
    #[publish(attributes(name))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Text.
pub mod shelf {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "shelves")]
    #[publish(attributes(label))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_name = "mark")]
        pub label: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Text of a fixed length, which PostgreSQL fills up with spaces.
pub mod ticket {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "tickets")]
    #[publish(attributes(code))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Char(Some(6))")]
        pub code: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Three columns.
pub mod book {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "books")]
    #[publish(attributes(title))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub shelf: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub row: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i64,
        pub title: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// An enum of the database, in another order than that of its texts.
pub mod loan {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "kind")]
    pub enum Kind {
        #[sea_orm(string_value = "weeks")]
        Weeks,
        #[sea_orm(string_value = "days")]
        Days,
        #[sea_orm(string_value = "hours")]
        Hours,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "loans")]
    #[publish(attributes(number))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: Kind,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A type of PostgreSQL's own, which goes through casts, and whose order is not that of its texts.
pub mod host {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "hosts")]
    #[publish(attributes(address))]
    pub struct Model {
        #[sea_orm(
            primary_key,
            auto_increment = false,
            column_type = r#"custom("inet")"#,
            select_as = "text",
            save_as = "inet"
        )]
        pub address: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub port: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A moment, which SQLite keeps to the nanosecond.
pub mod visit {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "visits")]
    #[publish(attributes(at))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub at: ChronoDateTimeUtc,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
