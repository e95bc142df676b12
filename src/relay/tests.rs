//! Tests of the room as a whole, without a server: what forgers, garbage and time can do.
