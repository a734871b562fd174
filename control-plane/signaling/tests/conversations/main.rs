//! Conversations between clients and the whole server, as text.

mod churn;
mod happy_path;
mod hostile;
mod rooms;
mod world;
