//! Conversations between clients and the whole server, as text.

mod breakout;
mod churn;
mod happy_path;
mod hostile;
mod lobby;
mod moderation;
mod rooms;
mod services;
mod world;
