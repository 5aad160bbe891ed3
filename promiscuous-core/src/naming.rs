//! The names that models have when none is given.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// The name of the model in a module: `app::entities::blog_post` holds a `BlogPost`.
pub fn name_of_module(module_path: &str) -> String {
    let module = module_path.rsplit("::").next().unwrap_or(module_path);
    module.trim_start_matches("r#").to_upper_camel_case()
}

/// The model's part of an endpoint: a `BlogPost` is published as `blog_post`.
pub fn endpoint_name(name: &str) -> String {
    name.to_snake_case()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_like_its_module() {
        assert_eq!(name_of_module("shop::entities::blog_post"), "BlogPost");
        assert_eq!(name_of_module("r#type"), "Type");
        assert_eq!(endpoint_name("BlogPost"), "blog_post");
        assert_eq!(endpoint_name("User"), "user");
    }
}
