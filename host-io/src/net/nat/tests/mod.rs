//! The network as a guest sees it. The guest's side is smoltcp's interface and sockets: a TCP that is not ours.

mod address;
mod forward;
mod fuzz;
mod guest;
mod lossy;
mod names;
mod options;
mod parts;
mod tcp;
mod time;
mod udp;
mod wire;
