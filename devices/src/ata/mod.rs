//! Drives behind the IDE controller.
