//! The derive macros of Promiscuous.
