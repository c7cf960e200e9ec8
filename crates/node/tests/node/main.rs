//! The node at its boundary: clients connect, send frames and requests, and what they receive is
//! compared.

mod attach;
mod batch;
mod chat;
mod claims;
mod connecting;
mod delta;
mod keys;
mod leftovers;
mod limits;
mod messages;
mod objects;
mod occupancy;
mod presence;
mod publish;
mod push;
mod reauth;
mod rest;
mod resume;
mod revocation;
mod rules;
mod sandbox;
mod show;
mod shutdown;
mod tokens;
mod world;
