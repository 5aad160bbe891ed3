//! On RabbitMQ.
