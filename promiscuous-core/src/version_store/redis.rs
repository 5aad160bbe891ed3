//! On a Redis server.
