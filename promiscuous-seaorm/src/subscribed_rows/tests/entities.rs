//! Entities that keep their publisher's ids in all sorts of columns.

/// An integer, values that have more than one spelling, and an attribute that goes through a setter.
pub mod person {
    use crate::{Publish, Subscribe};
    use sea_orm::Set;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "people")]
    #[publish(attributes(name))]
    #[subscribe(
        from = "office/person",
        attributes(name, balance, born_at, score, settings),
        virtual_attributes(initials, shout)
    )]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        #[sea_orm(column_name = "full_name")]
        pub name: String,
        #[sea_orm(column_type = "Decimal(Some((12, 4)))")]
        pub balance: Decimal,
        pub born_at: ChronoDateTimeUtc,
        pub score: Option<f64>,
        pub settings: Json,
        /// Of `initials`.
        pub badge: String,
        /// This app's own.
        pub secret: Option<String>,
    }

    impl ActiveModel {
        fn set_initials(&mut self, initials: String) -> Result<(), &'static str> {
            match initials.as_str() {
                "" => Err("nobody has no initials"),
                "panic" => panic!("not these"),
                _ => {
                    self.badge = Set(format!("[{initials}]"));
                    Ok(())
                }
            }
        }

        /// Whoever shouts has a name in capitals, whatever it is called.
        fn set_shout(&mut self, shout: bool) {
            if shout {
                self.name = Set(self.name.as_ref().to_uppercase());
            }
        }
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        fn new() -> Self {
            panic!("to compare is no reason to make a row")
        }

        async fn before_save<C: ConnectionTrait>(self, _: &C, _: bool) -> Result<Self, DbErr> {
            panic!("to compare is no reason to write")
        }
    }
}

/// A UUID.
pub mod member {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "members")]
    #[subscribe(attributes(name))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Text.
pub mod shelf {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "shelves")]
    #[subscribe(attributes(place))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_name = "mark")]
        pub label: String,
        pub place: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Text of a fixed length, which PostgreSQL fills up with spaces.
pub mod ticket {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "tickets")]
    #[subscribe(attributes(seat))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Char(Some(6))")]
        pub code: String,
        pub seat: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Columns of three kinds, one of them an enum of the database in another order than that of its texts.
pub mod loan {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "kind")]
    pub enum Kind {
        #[sea_orm(string_value = "weeks")]
        Weeks,
        #[sea_orm(string_value = "days")]
        Days,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "loans")]
    #[subscribe(attributes(returned))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub shelf: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: Kind,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub returned: bool,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A foreign key of text, which keeps ids of one column and of several.
pub mod follower {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "followers")]
    #[subscribe(from = "twitter/account", attributes(name), foreign_key = "twitter_id")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub twitter_id: Option<String>,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A foreign key that is a number.
pub mod customer {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "customers")]
    #[subscribe(from = "shop/user", attributes(name), foreign_key = "shop_id")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub shop_id: Option<i64>,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
