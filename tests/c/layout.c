/* Sizes and offsets are the contract. Compiled for 64 and, where the compiler can, for 32 bit. */
#include "steamnetmsg.h"
#include <stddef.h>

#define HOLDS_2(condition, line) typedef char holds_##line[(condition) ? 1 : -1]
#define HOLDS_1(condition, line) HOLDS_2(condition, line)
#define HOLDS(condition) HOLDS_1(condition, __LINE__)
#define AT(type, field, offset) HOLDS(offsetof(type, field) == (offset))
#define POINTER sizeof(void *)

HOLDS(sizeof(snm_result) == 4);
HOLDS(sizeof(snm_connection_state) == 4);
HOLDS(sizeof(snm_config_key) == 4);

HOLDS(sizeof(snm_message) == 56 + 2 * POINTER);
AT(snm_message, identity, 0);
AT(snm_message, receiver_user_data, 8);
AT(snm_message, time_received, 16);
AT(snm_message, message_number, 24);
AT(snm_message, sender_user_data, 32);
AT(snm_message, channel, 40);
AT(snm_message, flags, 44);
AT(snm_message, size, 48);
AT(snm_message, connection, 52);
AT(snm_message, payload, 56);
AT(snm_message, reserved, 56 + POINTER);

HOLDS(sizeof(snm_connection_info) == 368);
AT(snm_connection_info, struct_size, 0);
AT(snm_connection_info, connection_state, 4);
AT(snm_connection_info, identity, 8);
AT(snm_connection_info, user_data, 16);
AT(snm_connection_info, listen_socket, 24);
AT(snm_connection_info, remote_pop, 28);
AT(snm_connection_info, pop_relay, 32);
AT(snm_connection_info, end_reason, 36);
AT(snm_connection_info, info_flags, 40);
AT(snm_connection_info, remote_address, 44);
AT(snm_connection_info, end_debug, 108);
AT(snm_connection_info, debug_description, 236);
AT(snm_connection_info, reserved, 364);

HOLDS(sizeof(snm_realtime_status) == 72);
AT(snm_realtime_status, struct_size, 0);
AT(snm_realtime_status, state, 4);
AT(snm_realtime_status, ping, 8);
AT(snm_realtime_status, local_quality, 12);
AT(snm_realtime_status, remote_quality, 16);
AT(snm_realtime_status, packets_out_per_second, 20);
AT(snm_realtime_status, bytes_out_per_second, 24);
AT(snm_realtime_status, packets_in_per_second, 28);
AT(snm_realtime_status, bytes_in_per_second, 32);
AT(snm_realtime_status, send_rate, 36);
AT(snm_realtime_status, pending_unreliable, 40);
AT(snm_realtime_status, pending_reliable, 44);
AT(snm_realtime_status, send_unacknowledged_reliable, 48);
AT(snm_realtime_status, queue_time, 56);
AT(snm_realtime_status, max_jitter, 64);
AT(snm_realtime_status, reserved1, 68);

HOLDS(sizeof(snm_outgoing_message) == 24 + 2 * POINTER);
AT(snm_outgoing_message, remote_steam_id, 0);
AT(snm_outgoing_message, size, 8);
AT(snm_outgoing_message, flags, 12);
AT(snm_outgoing_message, channel, 16);
AT(snm_outgoing_message, payload, 24);
AT(snm_outgoing_message, reserved_pointer, 24 + POINTER);

HOLDS(sizeof(snm_event) == 152);
AT(snm_event, struct_size, 0);
AT(snm_event, type, 4);
AT(snm_event, remote_steam_id, 8);
AT(snm_event, reason, 16);
AT(snm_event, connection_state, 20);
AT(snm_event, debug_message, 24);

int main(void) { return 0; }
