//! Operations from outside: what a sync, a prune, a retry or a deletion does to a
//! real cluster, and what the Application says of it. All tests share one control
//! plane and one controller; each has a namespace and an Application of its own.

mod case;
mod deletion;
mod hooks;
mod lifecycle;
mod options;
mod prune;
mod waves;
mod writes;
