pub mod _x {}
