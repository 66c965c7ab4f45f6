mod guest;
mod services;
mod tables;
mod trap;
