/*
 * steamnetmsg: peer-to-peer messages by steam id.
 *
 * Reliable and unreliable messages on channels, encrypted, over one UDP socket pair; the six calls and two
 * events of Steam's Networking Messages, without Steam.
 *
 *   snm_config *config = snm_config_create();
 *   snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, my_steam_id);
 *   snm_endpoint *ep = NULL;
 *   if (snm_endpoint_create(config, &ep) != SNM_RESULT_OK) puts(snm_last_error());
 *   snm_add_peer_address(ep, friend_id, "203.0.113.5:27015");
 *   snm_send_message_to_user(ep, friend_id, "hello", 5, SNM_SEND_RELIABLE, 0);
 *   ...each frame: snm_run_callbacks(ep); snm_receive_messages_on_channel(ep, 0, messages, 16);
 *
 * Rules that hold everywhere:
 * - Every function may be called from any thread at any time, inside callbacks too. None waits for the
 *   network; only snm_wait, snm_endpoint_destroy and snm_shutdown_all wait at all.
 * - NULL is never a crash: it answers SNM_RESULT_INVALID_PARAM, or 0, or nothing happens (snm_wait: -1).
 *   A handle of something destroyed answers SNM_RESULT_INVALID_STATE, or 0, for the life of the process.
 * - What the library hands out (messages, texts) stays its own; what you hand in is copied before the call
 *   returns. Text is UTF-8 and NUL-terminated.
 * - Numbers from outside the lists below are answered, never undefined behaviour.
 *
 * Generated from the library's source; do not edit.
 */

#ifndef STEAMNETMSG_H
#define STEAMNETMSG_H

#include <stdint.h>

/* The calling convention. */
#if defined(_WIN32) && !defined(_WIN64)
#define SNM_CALL __cdecl
#else
#define SNM_CALL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Names ------------------------------------------------------------------------------------- */

/**
 * One local identity with all its sessions. A handle: nothing is behind the pointer, and that of a
 * destroyed endpoint may be passed to any function for ever; it answers SNM_RESULT_INVALID_STATE.
 */
typedef struct snm_endpoint snm_endpoint;

/** The settings an endpoint is created with. A handle: nothing is behind the pointer. */
typedef struct snm_config snm_config;

/** What a call answers: one of SNM_RESULT_. */
typedef int32_t snm_result;

/** The state of a session: one of SNM_STATE_. */
typedef int32_t snm_connection_state;

/** Names a setting: one of SNM_CONFIG_. Steam's numbers where Steam has the option; ours start at 10000. */
typedef int32_t snm_config_key;

typedef struct snm_message snm_message;
typedef struct snm_connection_info snm_connection_info;
typedef struct snm_realtime_status snm_realtime_status;
typedef struct snm_outgoing_message snm_outgoing_message;
typedef struct snm_event snm_event;

/* ---- Result codes ------------------------------------------------------------------------------ */

/* The numbers are those of Steam's EResult. After anything but SNM_RESULT_OK, snm_last_error() tells more. */

enum {
  /** Done; for a send: the message is queued. Delivery is never confirmed. */
  SNM_RESULT_OK = 1,
  /** The system or this library failed; snm_last_error() says what. */
  SNM_RESULT_FAIL = 2,
  /** The session is broken (or, for a flush, there is none). Close it, or send with SNM_SEND_AUTO_RESTART_BROKEN_SESSION. */
  SNM_RESULT_NO_CONNECTION = 3,
  /** An argument is NULL, malformed or out of range. */
  SNM_RESULT_INVALID_PARAM = 8,
  /** The handle belongs to nothing alive, or this cannot be done now. */
  SNM_RESULT_INVALID_STATE = 11,
  /** A buffer or a table is full. */
  SNM_RESULT_LIMIT_EXCEEDED = 25,
  /** Reserved: Valve's library answers a send on a broken session with it; this one answers NO_CONNECTION. */
  SNM_RESULT_CONNECT_FAILED = 35,
  /** SNM_SEND_NO_DELAY: the message could not leave at once and was dropped. */
  SNM_RESULT_IGNORED = 41
};

/**
 * The text of the calling thread's last refused call, in English, for logs and developers; "" when none was.
 *
 * Meaningful right after a call that answered failure; calls that succeed leave it as it is. Never NULL.
 * The text belongs to the library and stays valid on this thread until its next failing call.
 */
const char *SNM_CALL snm_last_error(void);

/**
 * The enumerator's name of a result code, such as "SNM_RESULT_OK"; "unknown" for any other number.
 *
 * Never NULL; the text is constant and need not be freed. Any thread.
 */
const char *SNM_CALL snm_result_name(snm_result result);

/* ---- The six calls ----------------------------------------------------------------------------- */

enum {
  /** May be lost, never duplicated. */
  SNM_SEND_UNRELIABLE = 0,
  /** Ends the Nagle wait of everything queued for this user, this message included. */
  SNM_SEND_NO_NAGLE = 1,
  /** Unreliable only: leave at once (within about 200 ms of queue) or be dropped with SNM_RESULT_IGNORED. */
  SNM_SEND_NO_DELAY = 4,
  /** Arrives exactly once, in order within its channel, or the session fails. */
  SNM_SEND_RELIABLE = 8,
  /** Accepted and without effect. */
  SNM_SEND_USE_CURRENT_THREAD = 16,
  /** If the session with this user is broken, forget it and start another. Without effect on a healthy one. */
  SNM_SEND_AUTO_RESTART_BROKEN_SESSION = 32
};

enum {
  /** No session. */
  SNM_STATE_NONE = 0,
  /** Asked, or asking; not accepted yet. */
  SNM_STATE_CONNECTING = 1,
  /** Accepted; no path is proven yet. */
  SNM_STATE_FINDING_ROUTE = 2,
  /** Messages flow. */
  SNM_STATE_CONNECTED = 3,
  /** Ended by the other side; end_reason says why. */
  SNM_STATE_CLOSED_BY_PEER = 4,
  /** Ended by a fault noticed here; end_reason says which. */
  SNM_STATE_PROBLEM_DETECTED_LOCALLY = 5,
  /** Never returned; here for tables ported from Steam. */
  SNM_STATE_FIN_WAIT = -1,
  /** Never returned. */
  SNM_STATE_LINGER = -2,
  /** Never returned. */
  SNM_STATE_DEAD = -3
};

/**
 * Sends size bytes to a user, on a channel. The first send to someone asks for a session; what is sent
 * before it is accepted waits here, as reliable (see SNM_CONFIG_EARLY_UNRELIABLE). Sending to someone who
 * asked for a session accepts it.
 *
 * The bytes are copied before the call returns. flags are bits of SNM_SEND_; unknown ones are ignored. Every
 * channel number is legal; small ones travel in fewer bytes. Any thread; never waits.
 *
 * SNM_RESULT_OK: queued, not delivered. INVALID_PARAM: NULL, user 0, or more than 524288 bytes.
 * NO_CONNECTION: the session is broken; close it, or send with SNM_SEND_AUTO_RESTART_BROKEN_SESSION.
 * LIMIT_EXCEEDED: more would wait than SNM_CONFIG_SEND_BUFFER_SIZE. IGNORED: SNM_SEND_NO_DELAY, and it
 * could not leave at once. INVALID_STATE: destroyed. FAIL: this endpoint failed.
 */
snm_result SNM_CALL snm_send_message_to_user(snm_endpoint *endpoint, uint64_t remote_steam_id,
                                             const void *data, uint32_t size, int32_t flags, int32_t channel);

/**
 * Takes up to max_messages received messages of a channel, of all users, oldest first.
 *
 * Pointers go to out_messages; each is yours until snm_message_release. Returns how many; 0 also for a bad
 * argument or max_messages below 1. Any thread; never waits.
 */
int32_t SNM_CALL snm_receive_messages_on_channel(snm_endpoint *endpoint, int32_t channel,
                                                 snm_message **out_messages, int32_t max_messages);

/**
 * Accepts the session a user asked for.
 *
 * 1: there is a session, asked for, accepted or connected. 0: none, or it failed. Accepting before the
 * request is there does nothing: it is not remembered. Any thread; never waits.
 */
uint8_t SNM_CALL snm_accept_session_with_user(snm_endpoint *endpoint, uint64_t remote_steam_id);

/**
 * Ends the session with a user, at once: what is queued is dropped (see SNM_CONFIG_CLOSE_FLUSH), and so are
 * its messages not read yet. A request is rejected that way; a failed session is forgotten.
 *
 * 1: there was a session. 0: there was none. Any thread; never waits.
 */
uint8_t SNM_CALL snm_close_session_with_user(snm_endpoint *endpoint, uint64_t remote_steam_id);

/**
 * Ends one channel with a user: its messages not read yet are dropped. A channel is open once sent or
 * received on; the session ends with its last open channel. A later message opens the channel again.
 *
 * 1: the channel was open. 0: it was not. Any thread; never waits.
 */
uint8_t SNM_CALL snm_close_channel_with_user(snm_endpoint *endpoint, uint64_t remote_steam_id,
                                             int32_t channel);

/**
 * Tells the state of the session with a user, and what is known and measured of it.
 *
 * Either structure may be NULL; set struct_size of those that are not (one that is too small is not
 * written; snm_last_error() says so). Without a session both are all zeros. Reading the status starts its
 * max_jitter afresh.
 *
 * One of SNM_STATE_; SNM_STATE_NONE without a session, and without an endpoint (then nothing is written).
 * Any thread; never waits.
 */
snm_connection_state SNM_CALL snm_get_session_connection_info(snm_endpoint *endpoint,
    uint64_t remote_steam_id, snm_connection_info *out_info, snm_realtime_status *out_status);

/* ---- Beside them ------------------------------------------------------------------------------- */

/** Frees a received message. NULL: nothing happens. Any thread, exactly once for each message. */
void SNM_CALL snm_message_release(snm_message *message);

/** Frees count received messages and sets their pointers to NULL. Entries that are NULL are passed over. */
void SNM_CALL snm_messages_release(snm_message **messages, int32_t count);

/**
 * Sends count messages, each as if sent alone, in order.
 *
 * out_results may be NULL; else it gets count results, each as of snm_send_message_to_user. Returns how many
 * were SNM_RESULT_OK. A message that is refused does not keep the later ones. Any thread; never waits.
 */
int32_t SNM_CALL snm_send_messages(snm_endpoint *endpoint, const snm_outgoing_message *messages,
                                   int32_t count, snm_result *out_results);

/**
 * Ends the Nagle wait of what is queued for a user.
 *
 * SNM_RESULT_OK; NO_CONNECTION (there is no session); INVALID_PARAM, INVALID_STATE, FAIL as usual.
 * Any thread; never waits.
 */
snm_result SNM_CALL snm_flush_messages_to_user(snm_endpoint *endpoint, uint64_t remote_steam_id);

/**
 * Waits until messages or events wait for the app, at most timeout_ms milliseconds; -1 for ever.
 *
 * More than 0: something waits: messages on any channel, or events, or both; take them. 0: timed out. -1:
 * the endpoint is gone, or was destroyed meanwhile. Any number of threads may wait. Inside a callback that
 * runs on the poll thread it never waits, because what it would wait for comes through that thread.
 */
int32_t SNM_CALL snm_wait(snm_endpoint *endpoint, int32_t timeout_ms);

/**
 * Sets how urgent a channel is, for all sessions of the endpoint: higher numbers go first, equal ones share
 * fairly. 0 by default.
 *
 * SNM_RESULT_OK; LIMIT_EXCEEDED (too many channels have a priority of their own); INVALID_PARAM,
 * INVALID_STATE, FAIL as usual. Any thread; never waits.
 */
snm_result SNM_CALL snm_set_channel_priority(snm_endpoint *endpoint, int32_t channel, int32_t priority);

/* ---- The two events ---------------------------------------------------------------------------- */

/* Set callbacks and call snm_run_callbacks once a frame, or poll; what a callback tells can also be polled.
 * Events nobody takes wait: requests are never lost, of failures the oldest go first. */

enum {
  /** remote_steam_id wants to talk: accept, send to it, or close. */
  SNM_EVENT_SESSION_REQUEST = 1,
  /** The session with remote_steam_id failed; reason, connection_state and debug_message say how. */
  SNM_EVENT_SESSION_FAILED = 2,
  /**
   * The connection to the signaling server: connection_state 3 online, 1 connecting, 5 refused or lost; reason and
   * debug_message say why. Told when that changes; the library goes on by itself.
   */
  SNM_EVENT_SIGNALING = 3
};

enum {
  /** Not ended. */
  SNM_END_INVALID = 0,
  /** 1000 to 1999: ended by the app, nothing wrong. */
  SNM_END_APP_MIN = 1000,
  /** Ended by the app. */
  SNM_END_APP_GENERIC = 1000,
  /** The other side closed the session (or its last channel). */
  SNM_END_SESSION_CLOSED = 1001,
  /** Unused for SESSION_IDLE_TIMEOUT. */
  SNM_END_SESSION_IDLE = 1002,
  /** Last of the app's. */
  SNM_END_APP_MAX = 1999,
  /** 2000 to 2999: ended by the app, something wrong. */
  SNM_END_APP_EXCEPTION_MIN = 2000,
  /** Ended by the app's fault. */
  SNM_END_APP_EXCEPTION_GENERIC = 2000,
  /** Last of these. */
  SNM_END_APP_EXCEPTION_MAX = 2999,
  /** 3000 to 3999: a problem on this side. */
  SNM_END_LOCAL_MIN = 3000,
  /** No network here. */
  SNM_END_LOCAL_OFFLINE_MODE = 3001,
  /** Many relays cannot be reached from here. */
  SNM_END_LOCAL_MANY_RELAY_CONNECTIVITY = 3002,
  /** A hosted server lost its primary relay. */
  SNM_END_LOCAL_HOSTED_SERVER_PRIMARY_RELAY = 3003,
  /** The network configuration could not be had. */
  SNM_END_LOCAL_NETWORK_CONFIG = 3004,
  /** This user may not do that. */
  SNM_END_LOCAL_RIGHTS = 3005,
  /** No public address of ours was found. */
  SNM_END_LOCAL_P2P_ICE_NO_PUBLIC_ADDRESSES = 3006,
  /** Last of these. */
  SNM_END_LOCAL_MAX = 3999,
  /** 4000 to 4999: a problem on the other side. */
  SNM_END_REMOTE_MIN = 4000,
  /** The other side went silent while nothing was wrong here. */
  SNM_END_REMOTE_TIMEOUT = 4001,
  /** Its handshake does not verify. */
  SNM_END_REMOTE_BAD_CRYPT = 4002,
  /** Its certificate is missing, expired or not trusted. */
  SNM_END_REMOTE_BAD_CERT = 4003,
  /** Reserved; not used. */
  SNM_END_REMOTE_NOT_LOGGED_IN = 4004,
  /** Reserved; not used. */
  SNM_END_REMOTE_NOT_RUNNING_APP = 4005,
  /** It speaks another version of the protocol. */
  SNM_END_REMOTE_BAD_PROTOCOL_VERSION = 4006,
  /** It has no public address we know. */
  SNM_END_REMOTE_P2P_ICE_NO_PUBLIC_ADDRESSES = 4007,
  /** Last of these. */
  SNM_END_REMOTE_MAX = 4999,
  /** 5000 to 5999: everything else. */
  SNM_END_MISC_MIN = 5000,
  /** Something unnamed went wrong, a violated protocol for one. */
  SNM_END_MISC_GENERIC = 5001,
  /** This library failed; please report it. */
  SNM_END_MISC_INTERNAL_ERROR = 5002,
  /** No answer in time: the peer is unreachable, gone, or never accepted. */
  SNM_END_MISC_TIMEOUT = 5003,
  /** Reserved; not used. */
  SNM_END_MISC_RELAY_CONNECTIVITY = 5004,
  /** The signaling service cannot be reached. */
  SNM_END_MISC_STEAM_CONNECTIVITY = 5005,
  /** No relay reaches the peer. */
  SNM_END_MISC_NO_RELAY_SESSIONS_TO_CLIENT = 5006,
  /** The two sides could not be introduced to each other in time. */
  SNM_END_MISC_P2P_RENDEZVOUS = 5008,
  /** Firewalls or address translators keep the two sides apart. */
  SNM_END_MISC_P2P_NAT_FIREWALL = 5009,
  /** The peer, or who knows it, says there is no such session or peer. */
  SNM_END_MISC_PEER_SENT_NO_CONNECTION = 5010,
  /** Last of these. */
  SNM_END_MISC_MAX = 5999
};

/**
 * Someone wants to talk: accept the session, send to the user, or close the session to reject it. Comes
 * again every few seconds while the user keeps asking.
 */
typedef void (SNM_CALL *snm_session_request_fn)(void *user_data, uint64_t remote_steam_id);

/**
 * A session failed. reason is one of SNM_END_; connection_state is SNM_STATE_CLOSED_BY_PEER or
 * SNM_STATE_PROBLEM_DETECTED_LOCALLY; debug_message is for logs and valid during the call only.
 */
typedef void (SNM_CALL *snm_session_failed_fn)(void *user_data, int32_t reason, uint64_t remote_steam_id,
                                               int32_t connection_state, const char *debug_message);

/**
 * Sets who is told that someone wants to talk; NULL for nobody.
 *
 * Called only inside snm_run_callbacks, on its caller's thread, or on the poll thread with
 * SNM_CONFIG_CALLBACK_MODE 1. Inside it every call of this library is allowed. When this returns, no call
 * of the function it replaced is under way (unless called from inside that function), so what user_data
 * points to may be freed. Requests that came before are not lost; they wait. NULL or destroyed endpoint:
 * nothing happens.
 */
void SNM_CALL snm_set_session_request_callback(snm_endpoint *endpoint, snm_session_request_fn function,
                                               void *user_data);

/**
 * Sets who is told that a session failed; NULL for nobody. Otherwise as snm_set_session_request_callback.
 *
 * What the other side ends on purpose is no failure and not told, but for a request it rejects.
 */
void SNM_CALL snm_set_session_failed_callback(snm_endpoint *endpoint, snm_session_failed_fn function,
                                              void *user_data);

/**
 * Calls the callbacks of waiting events, on this thread. Call it once a frame.
 *
 * How many were called; 0 also when another thread is in it for this endpoint, when no callback is set, and
 * with SNM_CONFIG_CALLBACK_MODE 1. An event without a callback of its kind waits on. At most 1024 at once.
 */
int32_t SNM_CALL snm_run_callbacks(snm_endpoint *endpoint);

/**
 * Takes the oldest waiting event, instead of callbacks or beside them: an event goes to whoever takes it
 * first.
 *
 * 1: *out_event is filled. 0: none waits, or an argument is bad (NULL, struct_size below the structure's;
 * snm_last_error() says which), and nothing was taken. Any thread.
 */
int32_t SNM_CALL snm_poll_event(snm_endpoint *endpoint, snm_event *out_event);

/**
 * The enumerator's name of an end reason, such as "SNM_END_MISC_TIMEOUT"; "unknown" for any other number.
 *
 * Never NULL; the text is constant and need not be freed. Any thread. Of two names for one number, the
 * one that says more.
 */
const char *SNM_CALL snm_end_reason_name(int32_t reason);

/**
 * The enumerator's name of a session's state, such as "SNM_STATE_CONNECTED"; "unknown" for any other number.
 *
 * Never NULL; the text is constant and need not be freed. Any thread.
 */
const char *SNM_CALL snm_connection_state_name(snm_connection_state state);

/* ---- Structures -------------------------------------------------------------------------------- */

/* No implicit padding; sizes and offsets never change, fields are only added at the end. Structures the
 * library fills start with struct_size: it never writes more than that. */

/**
 * A received message. Read only; it belongs to the library until snm_message_release, which may be called
 * from any thread, also after the session or the endpoint is gone.
 */
struct snm_message {
  /** The sender's steam id, authenticated. */
  uint64_t identity;
  /** SNM_CONFIG_CONNECTION_USER_DATA of the session. */
  int64_t receiver_user_data;
  /** When the packet that completed it arrived: microseconds, clock of snm_time_now(). */
  int64_t time_received;
  /** From 1, for each channel and each reliability, within one session. */
  int64_t message_number;
  /** Always 0. */
  int64_t sender_user_data;
  /** The channel it was sent on. */
  int32_t channel;
  /** SNM_SEND_RELIABLE or 0. */
  int32_t flags;
  /** Bytes at payload, 0 to 524288. */
  uint32_t size;
  /** Always 0, as Steam's. */
  uint32_t connection;
  /** The bytes; never NULL, not even for an empty message. */
  const uint8_t *payload;
  /** Always 0. */
  uintptr_t reserved;
};

enum {
  /** The peer's identity is only its own claim. */
  SNM_INFO_UNAUTHENTICATED = 1,
  /** Messages travel in the clear. */
  SNM_INFO_UNENCRYPTED = 2,
  /** The session of this endpoint with itself. */
  SNM_INFO_LOOPBACK = 4,
  /** The peer is on this machine or this local network. */
  SNM_INFO_FAST = 8,
  /** A relay carries the traffic. */
  SNM_INFO_RELAYED = 16
};

/** What is known of a session. Set struct_size, or start from SNM_CONNECTION_INFO_INIT. */
struct snm_connection_info {
  /** sizeof(snm_connection_info), set by the caller; no more than that is written. */
  uint32_t struct_size;
  /** One of SNM_STATE_. */
  int32_t connection_state;
  /** The other side's steam id; 0 without a session. */
  uint64_t identity;
  /** SNM_CONFIG_CONNECTION_USER_DATA. */
  int64_t user_data;
  /** Always 0. */
  uint32_t listen_socket;
  /** The point of presence of the peer's relay, up to four letters as in Steam's API; 0 without one. */
  uint32_t remote_pop;
  /** The same of our relay. */
  uint32_t pop_relay;
  /** Why it ended: one of SNM_END_, 0 while alive. */
  int32_t end_reason;
  /** Bits of SNM_INFO_. */
  uint32_t info_flags;
  /** Where its datagrams go: "203.0.113.5:27015", "[2001:db8::1]:27015", or "" while unknown. */
  char remote_address[64];
  /** The text of whoever ended it. */
  char end_debug[128];
  /** For logs; the format may change. */
  char debug_description[128];
  /** 0. */
  uint32_t reserved;
};

/** How a session fares, measured. Set struct_size, or start from SNM_REALTIME_STATUS_INIT. */
struct snm_realtime_status {
  /** sizeof(snm_realtime_status), set by the caller; no more than that is written. */
  uint32_t struct_size;
  /** One of SNM_STATE_. */
  int32_t state;
  /** Round trip, milliseconds; -1 unknown. */
  int32_t ping;
  /** Share of packets that arrive here in order and once, 0 to 1; -1 unknown. */
  float local_quality;
  /** The same as the other side measures it. */
  float remote_quality;
  /** Packets sent per second, lately. */
  float packets_out_per_second;
  /** UDP payload bytes sent per second, lately. */
  float bytes_out_per_second;
  /** Packets received per second, lately. */
  float packets_in_per_second;
  /** UDP payload bytes received per second, lately. */
  float bytes_in_per_second;
  /** Bytes per second the path is estimated to carry. */
  int32_t send_rate;
  /** Bytes of unreliable messages not sent yet. */
  int32_t pending_unreliable;
  /** Bytes of reliable messages not sent yet, or to be sent again. */
  int32_t pending_reliable;
  /** Bytes of reliable messages sent and not acknowledged yet. */
  int32_t send_unacknowledged_reliable;
  /** 0. */
  int32_t reserved0;
  /** How long a message sent now would wait, microseconds; UINT64_MAX when not connected. */
  uint64_t queue_time;
  /** Most jitter since this was last read, microseconds; -1 unknown. */
  int32_t max_jitter;
  /** 0. */
  int32_t reserved1;
};

/** One message of snm_send_messages. */
struct snm_outgoing_message {
  /** To whom. */
  uint64_t remote_steam_id;
  /** Bytes at payload. */
  uint32_t size;
  /** Bits of SNM_SEND_. */
  int32_t flags;
  /** On which channel. */
  int32_t channel;
  /** Set to 0. */
  uint32_t reserved;
  /** The bytes; copied before the call returns. */
  const void *payload;
  /** Set to 0. */
  uintptr_t reserved_pointer;
};

/** Something that happened. Set struct_size, or start from SNM_EVENT_INIT. */
struct snm_event {
  /** sizeof(snm_event), set by the caller; no more than that is written. */
  uint32_t struct_size;
  /** One of SNM_EVENT_. */
  int32_t type;
  /** Whom it is about. */
  uint64_t remote_steam_id;
  /** SESSION_FAILED: one of SNM_END_; else 0. */
  int32_t reason;
  /** SESSION_FAILED: SNM_STATE_CLOSED_BY_PEER or SNM_STATE_PROBLEM_DETECTED_LOCALLY; else 0. */
  int32_t connection_state;
  /** SESSION_FAILED: for logs; else "". */
  char debug_message[128];
};

/* Initialisers: everything 0, struct_size set. */
#define SNM_CONNECTION_INFO_INIT \
  { (uint32_t)sizeof(snm_connection_info), 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, { 0 }, { 0 }, 0 }
#define SNM_REALTIME_STATUS_INIT \
  { (uint32_t)sizeof(snm_realtime_status), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define SNM_EVENT_INIT { (uint32_t)sizeof(snm_event), 0, 0, 0, 0, { 0 } }

/* ---- Life of an endpoint ----------------------------------------------------------------------- */

/**
 * Makes a set of settings, all at their defaults. Only LOCAL_STEAM_ID has none and must be set.
 *
 * Yours until snm_config_destroy; one may serve for any number of endpoints. NULL when there are no more
 * handles. Any thread.
 */
snm_config *SNM_CALL snm_config_create(void);

/** Frees a set of settings. Endpoints made from it are not touched. NULL or a destroyed one: nothing happens. */
void SNM_CALL snm_config_destroy(snm_config *config);

/**
 * Sets a key of type int.
 *
 * SNM_RESULT_OK; INVALID_PARAM (unknown key, other type, out of range: snm_last_error() names the key, its
 * range and what was given); INVALID_STATE (this version lacks the feature, or the handle is dead). A
 * refused value changes nothing. Keys that contradict each other are found by snm_endpoint_create.
 */
snm_result SNM_CALL snm_config_set_int(snm_config *config, snm_config_key key, int64_t value);

/** Sets a key of type float. Answers as snm_config_set_int. */
snm_result SNM_CALL snm_config_set_float(snm_config *config, snm_config_key key, double value);

/** Sets a key of type string: UTF-8, NUL-terminated, copied. Answers as snm_config_set_int. */
snm_result SNM_CALL snm_config_set_string(snm_config *config, snm_config_key key, const char *value);

/** Sets a key of type bytes: size bytes at value, copied. Answers as snm_config_set_int. */
snm_result SNM_CALL snm_config_set_bytes(snm_config *config, snm_config_key key, const uint8_t *value,
                                         uint32_t size);

/**
 * Creates an endpoint: binds its sockets and starts its thread.
 *
 * The settings are copied; config may be destroyed or changed afterwards. *out_endpoint is yours until
 * snm_endpoint_destroy; on failure it is NULL. Any thread; does not wait for the network.
 *
 * SNM_RESULT_OK; INVALID_PARAM (NULL, or a setting that is missing or contradicts another: snm_last_error()
 * names the key); INVALID_STATE (the config was destroyed); FAIL (an address cannot be bound or no thread
 * can be had: address and cause are in snm_last_error()).
 */
snm_result SNM_CALL snm_endpoint_create(const snm_config *config, snm_endpoint **out_endpoint);

/**
 * Destroys an endpoint: closes its sessions, lets the peers know, frees its sockets and its thread.
 *
 * Waits for that, less than a second; then for callbacks of this endpoint still running on other threads.
 * When it returns none is running, none will be called, and its ports are free. From inside a callback it
 * returns at once and takes effect when the callback has returned. Messages already received stay valid
 * until released. NULL or a destroyed endpoint: nothing happens. Any thread.
 */
void SNM_CALL snm_endpoint_destroy(snm_endpoint *endpoint);

/**
 * Changes a key of type int on a running endpoint, sessions included.
 *
 * Answers as snm_config_set_int; also INVALID_STATE for keys fixed when the endpoint is created,
 * INVALID_PARAM for a value that contradicts another key, FAIL when this endpoint failed. A refused value
 * changes nothing. Any thread; never waits.
 */
snm_result SNM_CALL snm_endpoint_set_int(snm_endpoint *endpoint, snm_config_key key, int64_t value);

/** Changes a key of type float on a running endpoint. Answers as snm_endpoint_set_int. */
snm_result SNM_CALL snm_endpoint_set_float(snm_endpoint *endpoint, snm_config_key key, double value);

/** Changes a key of type string on a running endpoint. Answers as snm_endpoint_set_int. */
snm_result SNM_CALL snm_endpoint_set_string(snm_endpoint *endpoint, snm_config_key key, const char *value);

/** Changes a key of type bytes on a running endpoint. Answers as snm_endpoint_set_int. */
snm_result SNM_CALL snm_endpoint_set_bytes(snm_endpoint *endpoint, snm_config_key key, const uint8_t *value,
                                           uint32_t size);

/**
 * Sets a key of type int for one user alone, also before the first contact. It outlives the session.
 *
 * Answers as snm_endpoint_set_int; also INVALID_STATE for keys that cannot differ by peer, LIMIT_EXCEEDED
 * when too many users have settings of their own.
 */
snm_result SNM_CALL snm_peer_set_int(snm_endpoint *endpoint, uint64_t remote_steam_id, snm_config_key key,
                                     int64_t value);

/** Sets a key of type float for one user alone. Answers as snm_peer_set_int. */
snm_result SNM_CALL snm_peer_set_float(snm_endpoint *endpoint, uint64_t remote_steam_id, snm_config_key key,
                                       double value);

/**
 * Forgets what was set for one user; the endpoint's own values hold again.
 *
 * SNM_RESULT_OK, also when nothing was set; INVALID_PARAM, INVALID_STATE, FAIL as usual.
 */
snm_result SNM_CALL snm_peer_reset(snm_endpoint *endpoint, uint64_t remote_steam_id);

/**
 * Writes the addresses that are bound, comma separated: "0.0.0.0:27015,[::]:27015".
 *
 * 128 bytes always suffice, the NUL included. Any thread.
 * SNM_RESULT_OK; INVALID_PARAM (NULL); INVALID_STATE (destroyed); LIMIT_EXCEEDED (out_size is too small; ""
 * is written if that fits).
 */
snm_result SNM_CALL snm_endpoint_local_address(const snm_endpoint *endpoint, char *out, uint32_t out_size);

/**
 * Adds an address where a user may be reached: "203.0.113.5:27015", "[2001:db8::1]:27015" or
 * "host.example:27015". Call it again to add more. A name is looked up in the background.
 *
 * SNM_RESULT_OK; INVALID_PARAM (NULL, user 0, or not of that form); LIMIT_EXCEEDED (too many addresses);
 * INVALID_STATE, FAIL as usual. Any thread; never waits for the network.
 */
snm_result SNM_CALL snm_add_peer_address(snm_endpoint *endpoint, uint64_t remote_steam_id,
                                         const char *address);

/**
 * Forgets all addresses added for a user. A session that stands stays.
 *
 * SNM_RESULT_OK, also when there were none; INVALID_PARAM, INVALID_STATE, FAIL as usual.
 */
snm_result SNM_CALL snm_remove_peer_address(snm_endpoint *endpoint, uint64_t remote_steam_id);

/**
 * Explains, as JSON, why the session with a user is where it is, or why there is none: "cause" is a word that never
 * changes, "why" a sentence, "advice" what to do, "evidence" numbers. docs/diagnosis.md lists all causes; the rest
 * is for people and logs.
 *
 * Returns the length of the JSON, without its NUL, and writes it only if it fits into out_size bytes with
 * its NUL; so call it with NULL and 0 first, or with a few KiB. 0: bad argument, or no endpoint. Any thread;
 * never waits.
 */
int32_t SNM_CALL snm_explain_session(snm_endpoint *endpoint, uint64_t remote_steam_id, char *out_json,
                                     uint32_t out_size);

/**
 * Writes the endpoint's Ed25519 public key, 32 bytes.
 *
 * SNM_RESULT_OK; INVALID_PARAM, INVALID_STATE, FAIL as usual. Any thread.
 */
snm_result SNM_CALL snm_identity_public_key(const snm_endpoint *endpoint, uint8_t *out_key);

/**
 * Says that network interfaces changed (resume from sleep, Wi-Fi to mobile): paths are proven anew at once
 * instead of after a time-out. A hint; calling it for nothing is harmless.
 *
 * SNM_RESULT_OK; INVALID_PARAM, INVALID_STATE, FAIL as usual. Any thread; never waits.
 */
snm_result SNM_CALL snm_network_changed(snm_endpoint *endpoint);

/**
 * Microseconds on the library's clock: monotonic, the clock of snm_message.time_received.
 *
 * It starts at 3000000000000 at its first use in the process; only differences mean anything. Any thread.
 */
int64_t SNM_CALL snm_time_now(void);

/**
 * Destroys every endpoint of the process, as snm_endpoint_destroy does, and waits until no thread of the
 * library is left.
 *
 * After it the library may be unloaded, or used again. Any number of times, from any thread; from inside a
 * callback it takes effect when the callback has returned. Settings (snm_config) and messages you hold stay
 * valid; release them before unloading.
 */
void SNM_CALL snm_shutdown_all(void);

/** The library's version: 0xMMmmpp, major, minor, patch. Any thread. */
uint32_t SNM_CALL snm_version(void);

enum {
  /** The library found itself in the wrong. */
  SNM_LOG_BUG = 1,
  /** Something was not done. */
  SNM_LOG_ERROR = 2,
  /** Worth reading in any log. */
  SNM_LOG_IMPORTANT = 3,
  /** Something to look at. */
  SNM_LOG_WARNING = 4,
  /** The course of things. */
  SNM_LOG_MESSAGE = 5,
  /** More of it. */
  SNM_LOG_VERBOSE = 6,
  /** For work on the library. */
  SNM_LOG_DEBUG = 7
};

/**
 * Called with a line of the log: its level, one of SNM_LOG_, and the text, valid during the call only.
 * It may come from any thread, several at once.
 */
typedef void (SNM_CALL *snm_log_fn)(void *user_data, int32_t level, const char *message);

/**
 * Sets who is told what the library is doing, for the whole process; NULL for nobody.
 *
 * Lines above max_level (SNM_LOG_BUG 1 to SNM_LOG_DEBUG 7) are not made. The function may be called on any
 * thread, from inside any call of this library; it may itself call the library. When this returns, no call
 * of the function it replaced is under way (unless called from inside that function), so what user_data
 * points to may be freed.
 */
void SNM_CALL snm_set_log_callback(snm_log_fn function, void *user_data, int32_t max_level);

/* ---- Config keys ------------------------------------------------------------------------------- */

/* For snm_config_set_, snm_endpoint_set_ (running endpoints) and snm_peer_set_ (one user alone). */

enum {
  /** Percent of datagrams lost on the way out, to test with. Float, 0 to 100, default 0 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_LOSS_SEND = 2,
  /** Percent lost on the way in. Float, 0 to 100, default 0 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_LOSS_RECV = 3,
  /** Delay added on the way out. Int, 0 to 5000, default 0 (milliseconds, as Steam bounds injected delays). */
  SNM_CONFIG_FAKE_PACKET_LAG_SEND = 4,
  /** Delay added on the way in. Int, 0 to 5000, default 0 (milliseconds, as Steam bounds injected delays). */
  SNM_CONFIG_FAKE_PACKET_LAG_RECV = 5,
  /**
   * Percent held back on the way out, so that later ones overtake. Float, 0 to 100, default 0 (it is a
   * percentage).
   */
  SNM_CONFIG_FAKE_PACKET_REORDER_SEND = 6,
  /** Percent held back on the way in. Float, 0 to 100, default 0 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_REORDER_RECV = 7,
  /**
   * How long those are held back, both ways. Int, 0 to 5000, default 15 (milliseconds, as Steam bounds
   * injected delays).
   */
  SNM_CONFIG_FAKE_PACKET_REORDER_TIME = 8,
  /** Percent duplicated on the way out. Float, 0 to 100, default 0 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_DUP_SEND = 26,
  /** Percent duplicated on the way in. Float, 0 to 100, default 0 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_DUP_RECV = 27,
  /**
   * Most a duplicate comes later, both ways. Int, 0 to 5000, default 10 (milliseconds, as Steam bounds
   * injected delays).
   */
  SNM_CONFIG_FAKE_PACKET_DUP_TIME_MAX = 28,
  /** Rate let out. Int, 0 to 2147483647, default 0 (bytes per second, 0 for no limit). */
  SNM_CONFIG_FAKE_RATE_LIMIT_SEND_RATE = 42,
  /** Bytes let out at once above that rate. Int, 0 to 2147483647, default 16384 (bytes). */
  SNM_CONFIG_FAKE_RATE_LIMIT_SEND_BURST = 43,
  /** Rate let in. Int, 0 to 2147483647, default 0 (bytes per second, 0 for no limit). */
  SNM_CONFIG_FAKE_RATE_LIMIT_RECV_RATE = 44,
  /** Bytes let in at once above that rate. Int, 0 to 2147483647, default 16384 (bytes). */
  SNM_CONFIG_FAKE_RATE_LIMIT_RECV_BURST = 45,
  /**
   * Mean of random delay added on the way out, milliseconds. Float, 0 to 5000, default 0 (milliseconds, as
   * Steam bounds injected delays).
   */
  SNM_CONFIG_FAKE_PACKET_JITTER_SEND_AVG = 53,
  /**
   * Most of it for one datagram. Float, 0 to 5000, default 100 (milliseconds, as Steam bounds injected
   * delays).
   */
  SNM_CONFIG_FAKE_PACKET_JITTER_SEND_MAX = 54,
  /** Percent of datagrams that get any. Float, 0 to 100, default 75 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_JITTER_SEND_PCT = 55,
  /**
   * Mean of random delay added on the way in, milliseconds. Float, 0 to 5000, default 0 (milliseconds, as
   * Steam bounds injected delays).
   */
  SNM_CONFIG_FAKE_PACKET_JITTER_RECV_AVG = 56,
  /**
   * Most of it for one datagram. Float, 0 to 5000, default 100 (milliseconds, as Steam bounds injected
   * delays).
   */
  SNM_CONFIG_FAKE_PACKET_JITTER_RECV_MAX = 57,
  /** Percent of datagrams that get any. Float, 0 to 100, default 75 (it is a percentage). */
  SNM_CONFIG_FAKE_PACKET_JITTER_RECV_PCT = 58,
  /**
   * Mean length of a burst of losses on the way out; 1 for independent losses. Float, 1 to 1000, default 1
   * (a mean burst length in packets).
   */
  SNM_CONFIG_FAKE_PACKET_BURST_LOSS_SEND = 10013,
  /**
   * Mean length of a burst of losses on the way in. Float, 1 to 1000, default 1 (a mean burst length in
   * packets).
   */
  SNM_CONFIG_FAKE_PACKET_BURST_LOSS_RECV = 10014,
  /** Makes injected faults repeatable. Int, any, default 0 (random). */
  SNM_CONFIG_FAKE_NETWORK_SEED = 10015,
  /**
   * How much may wait to be sent in a session; a send beyond it answers SNM_RESULT_LIMIT_EXCEEDED. Int, 4096
   * to 268435456, default 524288 (bytes a session, Steam's bounds). Also per peer.
   */
  SNM_CONFIG_SEND_BUFFER_SIZE = 9,
  /**
   * Lower bound of the estimated rate. Int, 1024 to 268435456, default 16384 (bytes per second, Steam's
   * bounds). Also per peer.
   */
  SNM_CONFIG_SEND_RATE_MIN = 10,
  /**
   * Upper bound of the estimated rate. Equal to SEND_RATE_MIN it fixes the rate. Int, 0 or 1024 to
   * 268435456, default 0 (bytes per second, 0 for no ceiling). Also per peer.
   */
  SNM_CONFIG_SEND_RATE_MAX = 11,
  /**
   * How long a small message may wait for company. Int, 0 to 20000, default 5000 (microseconds, Steam's
   * bounds). Also per peer.
   */
  SNM_CONFIG_NAGLE_TIME = 12,
  /** May peers without a trusted certificate enter? Int, 0 to 2, default 0 (0 no, 1 or 2 yes). Also per peer. */
  SNM_CONFIG_IP_ALLOW_WITHOUT_AUTH = 23,
  /**
   * A session not connected by then has failed. It covers asking and finding a route, each. Int, 1 to
   * 86400000, default 10000 (milliseconds, at most a day). Also per peer.
   */
  SNM_CONFIG_TIMEOUT_INITIAL = 24,
  /**
   * A connected peer silent for so long has failed. Int, 1 to 86400000, default 10000 (milliseconds, at most
   * a day). Also per peer.
   */
  SNM_CONFIG_TIMEOUT_CONNECTED = 25,
  /**
   * Upper bound of a datagram's UDP payload. Int, 0 or 200 to 9000, default 0 (bytes of UDP payload, 0 to
   * discover freely). Also per peer.
   */
  SNM_CONFIG_MTU_PACKET_SIZE = 32,
  /**
   * Shown in snm_connection_info.user_data and snm_message.receiver_user_data. Int, any, default 0. Also per
   * peer.
   */
  SNM_CONFIG_CONNECTION_USER_DATA = 40,
  /**
   * Bytes of reliable messages a peer may have sent and we not read. Int, 4096 to 268435456, default 1048576
   * (bytes a session). Also per peer.
   */
  SNM_CONFIG_RECV_BUFFER_SIZE = 47,
  /**
   * Reliable messages a peer may have sent and we not read. Int, 1 to 1000000, default 1000 (messages a
   * session; each costs memory even when empty). Also per peer.
   */
  SNM_CONFIG_RECV_BUFFER_MESSAGES = 48,
  /**
   * Largest message accepted. Int, 1 to 524288, default 524288 (bytes; no message is larger than 524288).
   * Also per peer.
   */
  SNM_CONFIG_RECV_MAX_MESSAGE_SIZE = 49,
  /**
   * May peers on this machine enter without a trusted certificate? Int, 0 to 2, default 1 (0 no, 1 or 2
   * yes). Also per peer. With TRUSTED_AUTHORITIES only if it is set explicitly.
   */
  SNM_CONFIG_IP_LOCALHOST_ALLOW_WITHOUT_AUTH = 52,
  /**
   * A session unused (no send, receive or read) for so long ends, by agreement of both sides. Int, 1 to
   * 86400000, default 180000 (milliseconds, at most a day). Also per peer.
   */
  SNM_CONFIG_SESSION_IDLE_TIMEOUT = 10008,
  /**
   * 0: unreliable messages sent before the connection stands go out as reliable ones. 1: they stay
   * unreliable. Int, 0 to 1, default 0 (0 no, 1 yes). Also per peer.
   */
  SNM_CONFIG_EARLY_UNRELIABLE = 10012,
  /**
   * How long closing a session may go on delivering reliable messages already queued. Int, 0 to 60000,
   * default 0 (milliseconds; a closed session may linger a minute at most). Also per peer.
   */
  SNM_CONFIG_CLOSE_FLUSH = 10017,
  /**
   * Who this endpoint is: the 64 bits of a steam id. Required. Int, not 0, required. Fixed when the endpoint
   * is created.
   */
  SNM_CONFIG_LOCAL_STEAM_ID = 10000,
  /**
   * The app. Endpoints of different apps never meet. Int, 0 to 4294967295, default 480 (an app id has 32
   * bits). Fixed when the endpoint is created.
   */
  SNM_CONFIG_APP_ID = 10001,
  /**
   * Where to listen: IP addresses with ports, comma separated, one of each family; port 0 picks a free one.
   * A family the machine lacks is skipped in the default. String, default "0.0.0.0:0,[::]:0". Fixed when the
   * endpoint is created.
   */
  SNM_CONFIG_BIND_ADDRESS = 10002,
  /**
   * The Ed25519 seed this endpoint proves itself with; made afresh when not set. Bytes, exactly 32. Fixed
   * when the endpoint is created.
   */
  SNM_CONFIG_IDENTITY_KEY = 10003,
  /**
   * Where event callbacks run: 0 in snm_run_callbacks, 1 on the endpoint's poll thread. Int, 0 to 1, default
   * 0 (0 in snm_run_callbacks, 1 on the poll thread).
   */
  SNM_CONFIG_CALLBACK_MODE = 10009,
  /**
   * Endpoints of one group share a poll thread; -1 for a thread of its own. Int, -1 to 2147483647, default
   * -1 (the number of a group, -1 for a thread of its own). Fixed when the endpoint is created.
   */
  SNM_CONFIG_POLL_GROUP = 10010,
  /**
   * How many strangers may wait for an accept. Int, 0 to 65536, default 64 (each costs memory on a
   * stranger's word).
   */
  SNM_CONFIG_MAX_PENDING_REQUESTS = 10011,
  /** STUN servers. String, default "". Not in this version: only the default is accepted. */
  SNM_CONFIG_P2P_STUN_SERVER_LIST = 103,
  /**
   * Which ways a session may take, added up: 1 relays, 2 private and loopback addresses, 4 public addresses. So 1 is
   * relay only (the peer never sees an address of ours), 2 LAN only, 6 direct only, 7 or more relay first and direct as
   * soon as it is proven. Int, 1 to 2147483647, default 2147483647 (bits: 1 relay, 2 private, 4 public addresses). Live and per peer.
   */
  SNM_CONFIG_P2P_TRANSPORT_ICE_ENABLE = 104,
  /**
   * Relays, comma separated, eight at most: "turn:host:3478?transport=udp", "turn:host:3478?transport=tcp",
   * "turns:host:5349" (TLS) or "host:3478". Beside those the signaling server names. String, default "" (eight relays at
   * most). Live.
   */
  SNM_CONFIG_P2P_TURN_SERVER_LIST = 107,
  /** The user names for these relays, comma separated, by position. String, default "" (one for each relay). Live. */
  SNM_CONFIG_P2P_TURN_USER_LIST = 108,
  /** The passwords for these relays, comma separated, by position. String, default "" (one for each relay). Live. */
  SNM_CONFIG_P2P_TURN_PASS_LIST = 109,
  /**
   * Our certificate: an authority's word that LOCAL_STEAM_ID belongs to IDENTITY_KEY, which must be set. Bytes,
   * 133 or none, default none. Live: a renewed certificate is shown from the next handshake on, sessions stay.
   */
  SNM_CONFIG_CERTIFICATE = 10004,
  /**
   * Public keys of the authorities whose certificates we believe: Ed25519, base64url, comma separated, at most
   * 16. With one, only peers whose certificate it signed are let in (but see IP_ALLOW_WITHOUT_AUTH and IP_LOCALHOST_ALLOW_WITHOUT_AUTH). A `!`
   * before a key says that it was revoked: who it certified is refused, and live sessions of such end with
   * reason 4003. String, default "" (nobody proves who he is). Live.
   */
  SNM_CONFIG_TRUSTED_AUTHORITIES = 10005,
  /**
   * The signaling server, through which peers find each other by steam id: "wss://host" or "wss://host:port/path"
   * (the library adds /snm/v0); "ws://…" is not encrypted, for servers on this machine. "" for none: then peers are
   * found by snm_add_peer_address, or by your own signaling. Logging in, being refused and losing the server are told by
   * SNM_EVENT_SIGNALING; the library connects again by itself, and sessions that stand do not need it. Without
   * SNM_CONFIG_TRUSTED_AUTHORITIES, those are trusted that the server announces, but only over wss:// or on
   * this machine. String, default "" (where the signaling server is). Live.
   */
  SNM_CONFIG_SIGNALING_URL = 10006,
  /** Look for peers on the local network? Int, default 0. Not in this version: only the default is accepted. */
  SNM_CONFIG_LAN_DISCOVERY = 10007,
  /**
   * The token shown to the signaling server: a JWT of your backend's that says which steam id we may use. Set it
   * again before it expires, or when a login was refused: the server hears of it at once. String, default "" (a login is
   * a message of 8 KiB at most). Live.
   */
  SNM_CONFIG_LOGIN_TOKEN = 10016,
  /**
   * A file of certificates in PEM, that wss:// and turns: servers may be certified by, beside those the world
   * trusts: for a server with a certificate of your own making. Read when connecting. String, default "" (the path
   * of a file). Live.
   */
  SNM_CONFIG_SIGNALING_CA = 10018
};

/* ---- Your own signaling ------------------------------------------------------------------------ */

/* How two users that do not know each other's address are introduced by your own service, instead of the
 * signaling server of SNM_CONFIG_SIGNALING_URL. Signals are opaque, 4096 bytes at most, best effort; a session
 * begins with a few of them and leaves them for the first path that is proven. */

/**
 * Called with a signal to carry to a user, by whatever means the app has: opaque, 4096 bytes at most, best effort.
 * Loss, duplication and reordering slow the meeting down and never break it. The bytes are valid during the call only.
 */
typedef void (SNM_CALL *snm_send_signal_fn)(void *user_data, uint64_t to_steam_id, const uint8_t *signal,
                                            uint32_t size);

/**
 * Sets who carries signals; NULL for nobody. It implies snm_use_own_signaling(endpoint, function != NULL).
 *
 * Called under the rules of snm_set_session_request_callback: inside snm_run_callbacks, or on the poll thread with
 * SNM_CONFIG_CALLBACK_MODE 1; and when this returns, no call of the function it replaced is under way. NULL or
 * destroyed endpoint: nothing happens.
 */
void SNM_CALL snm_set_signal_callback(snm_endpoint *endpoint, snm_send_signal_fn function, void *user_data);

/**
 * Hands in a signal that was carried here. from_steam_id is who your carrier says it is from; the library checks that
 * for itself.
 *
 * SNM_RESULT_OK, also for what turns out to be no signal of ours: such is dropped and counted. INVALID_PARAM (NULL,
 * user 0, empty or above 4096 bytes); INVALID_STATE (without snm_use_own_signaling there is no way to answer, or the
 * endpoint is destroyed); FAIL as usual. Any thread; never waits.
 */
snm_result SNM_CALL snm_receive_signal(snm_endpoint *endpoint, uint64_t from_steam_id, const uint8_t *signal,
                                       uint32_t size);

/**
 * Takes a signal to carry to *out_to_steam_id, instead of the callback.
 *
 * Its size: the signal is in out, and yours to carry. 0: none waits, or an argument is bad (NULL; snm_last_error()
 * says which). Below 0: out_size is too small, minus the result is needed (never above 4096), and the signal
 * waits on. At most 256 wait; the oldest make room. Any thread; never waits.
 */
int32_t SNM_CALL snm_poll_signal(snm_endpoint *endpoint, uint64_t *out_to_steam_id, uint8_t *out,
                                 uint32_t out_size);

/**
 * Says that the app carries signals itself (1) and will take them by snm_poll_signal or the callback, or that it does
 * not (0). Meanwhile the signaling server, if one is set, still gives certificates and relays, but carries nothing.
 *
 * NULL or destroyed endpoint: nothing happens. Any thread; never waits.
 */
void SNM_CALL snm_use_own_signaling(snm_endpoint *endpoint, uint8_t on);

#ifdef __cplusplus
}
#endif

#endif /* STEAMNETMSG_H */
