//! What the shop sells, and what nobody is told of.

/// Published.
pub mod item {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "items")]
    #[publish(attributes(name), virtual_attributes(initial))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
    }

    impl Model {
        fn initial(&self) -> String {
            self.name.chars().take(1).collect()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Declared, and not named among the models.
pub mod draft {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "drafts")]
    #[publish(attributes(id))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
