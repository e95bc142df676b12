//! The program as its users meet it: command lines, files, answers, exit codes.

mod certs;
mod keys;
mod kit;
mod line;
mod recipes;
mod tokens;
