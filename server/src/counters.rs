//! What is counted, under which name. The names and their words are what `/metrics` shows; they do not change.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Counters that many rooms write to; on a hot way nothing is looked up by name.
pub struct Counters {
    pub online: Gauge,
    pub connections: Counter,
    pub turned_away: Counter,
    pub logins: Counter,
    pub refused: Counter,
    pub replaced: Counter,
    pub signals: Counter,
    pub signal_bytes: Counter,
    pub signals_too_fast: Counter,
    pub signals_pushed_out: Counter,
    pub signals_offline: Counter,
    pub stun_answers: Counter,
    pub turn_allocations: Gauge,
    pub turn_allocations_made: Counter,
    pub turn_datagrams: Counter,
    pub turn_bytes: Counter,
    pub turn_unauthorized: Counter,
    pub turn_quota: Counter,
    pub turn_denied: Counter,
    pub turn_too_fast: Counter,
    pub turn_garbage: Counter,
    pub turn_slow_reader: Counter,
    pub turn_faults: Counter,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    /// Registers them with the recorder of this process, all at 0.
    pub fn new() -> Counters {
        let dropped = |reason: &'static str| counter!("snm_signals_dropped_total", "reason" => reason);
        let turn_dropped = |reason: &'static str| counter!("snm_turn_dropped_total", "reason" => reason);
        describe_gauge!("snm_users_online", "Users who are logged in");
        describe_counter!("snm_connections_total", "WebSockets opened");
        describe_counter!("snm_connections_turned_away_total", "Connections over a limit");
        describe_counter!("snm_logins_total", "Logins that were let in");
        describe_counter!("snm_refused_total", "Clients refused, at login or after");
        describe_counter!("snm_replaced_total", "Logins that took the seat of an earlier one");
        describe_counter!("snm_signals_total", "Signals taken from clients");
        describe_counter!("snm_signal_bytes_total", "Bytes of these");
        describe_counter!("snm_signals_dropped_total", "Signals that reached nobody");
        describe_counter!("snm_stun_answers_total", "STUN Binding requests answered");
        describe_gauge!("snm_turn_allocations", "TURN allocations in use");
        describe_counter!("snm_turn_allocations_total", "TURN allocations made");
        describe_counter!("snm_turn_datagrams_total", "Datagrams relayed, both ways");
        describe_counter!("snm_turn_bytes_total", "Bytes of these");
        describe_counter!("snm_turn_dropped_total", "What STUN and TURN did not do");
        Counters {
            online: gauge!("snm_users_online"),
            connections: counter!("snm_connections_total"),
            turned_away: counter!("snm_connections_turned_away_total"),
            logins: counter!("snm_logins_total"),
            refused: counter!("snm_refused_total"),
            replaced: counter!("snm_replaced_total"),
            signals: counter!("snm_signals_total"),
            signal_bytes: counter!("snm_signal_bytes_total"),
            signals_too_fast: dropped("too_fast"),
            signals_pushed_out: dropped("pushed_out"),
            signals_offline: dropped("offline"),
            stun_answers: counter!("snm_stun_answers_total"),
            turn_allocations: gauge!("snm_turn_allocations"),
            turn_allocations_made: counter!("snm_turn_allocations_total"),
            turn_datagrams: counter!("snm_turn_datagrams_total"),
            turn_bytes: counter!("snm_turn_bytes_total"),
            turn_unauthorized: turn_dropped("unauthorized"),
            turn_quota: turn_dropped("quota"),
            turn_denied: turn_dropped("denied_peer"),
            turn_too_fast: turn_dropped("too_fast"),
            turn_garbage: turn_dropped("garbage"),
            turn_slow_reader: turn_dropped("slow_reader"),
            turn_faults: turn_dropped("fault"),
        }
    }
}
