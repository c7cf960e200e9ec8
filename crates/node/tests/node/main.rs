//! The node at its boundary: clients connect, send frames and requests, and what they receive is
//! compared.

mod attach;
mod batch;
mod chat;
mod claims;
mod connecting;
mod delta;
mod inband;
mod keys;
mod leftovers;
mod limits;
mod messages;
mod metachannels;
mod objects;
mod occupancy;
mod presence;
mod publish;
mod reauth;
mod rest;
mod resume;
mod revocation;
mod sandbox;
mod show;
mod shutdown;
mod tokens;
mod world;
