// Every nginx struct field that the glue reads or writes, by struct: `STRUCT: FIELD, NESTED.FIELD;`.
// A line `#[cfg(nginx1_23_0)]`, `#[cfg(ngx_feature = "…")]` or `#[cfg(not(…))]` before a struct leaves it out
// elsewhere. Read twice: by layout.rs as a macro, by build.rs as text for the C compiler. Bitfields have no
// offset and do not belong here; they are reached through shim.h.
layout_fields! {
    ngx_str_t: len, data;
    ngx_array_t: elts, nelts;
    ngx_chain_t: buf, next;
    ngx_buf_t: pos, last, file_pos, file_last, file;
    ngx_shm_t: addr, size, name, log;
    ngx_shm_zone_t: data, shm, init;
    ngx_slab_pool_t: pfree, mutex, data;
    ngx_list_part_t: elts, nelts, next;
    ngx_list_t: last, part, size, nalloc, pool;
    ngx_table_elt_t: hash, key, value, lowcase_key;
    #[cfg(nginx1_23_0)]
    ngx_table_elt_t: next;
    ngx_pool_cleanup_t: handler, data;
    ngx_log_t: log_level, handler;
    ngx_time_t: sec, msec;
    ngx_url_t: url, host;
    ngx_conf_t: args, cycle, pool, conf_file, log, ctx, handler, handler_conf;
    ngx_conf_file_t: file.name, line;
    ngx_cycle_t: conf_ctx, log, modules, modules_n, shared_memory.part;
    ngx_module_t: ctx_index, index;
    ngx_core_conf_t: username, user, group, env;
    ngx_connection_t: log, addr_text;
    ngx_hash_key_t: key;
    ngx_hash_keys_arrays_t: keys;
    ngx_variable_value_t: data;
    ngx_http_variable_t: name, get_handler, data;
    ngx_http_conf_ctx_t: main_conf, srv_conf, loc_conf;
    ngx_http_core_main_conf_t: prefix_variables, variables_keys, phases;
    ngx_http_core_srv_conf_t: file_name, line;
    ngx_http_core_loc_conf_t: name;
    ngx_http_request_body_t: bufs;
    ngx_http_upstream_state_t: status, response_time, connect_time, header_time, peer;
    ngx_http_upstream_resolved_t: host;
    ngx_peer_connection_t: tries, get, free, data;
    #[cfg(ngx_feature = "http_ssl")]
    ngx_peer_connection_t: set_session, save_session;
    #[cfg(nginx1_29_6)]
    ngx_peer_connection_t: notify;
    ngx_http_upstream_conf_t: upstream, next_upstream_tries;
    ngx_http_upstream_srv_conf_t: peer.init_upstream, peer.init, flags, host, port;
    ngx_http_upstream_t: resolved, conf, upstream, cleanup, peer;
    #[cfg(ngx_feature = "http_ssl")]
    ngx_http_upstream_t: ssl_name;
    #[cfg(nginx1_23_0)]
    ngx_http_request_t: headers_in.cookie;
    #[cfg(not(nginx1_23_0))]
    ngx_http_request_t: headers_in.cookies;
    ngx_http_request_t: main_conf, loc_conf, pool, connection, upstream, upstream_states, main, method, variables, unparsed_uri,
        headers_in.headers, headers_in.authorization, headers_in.server, headers_in.content_length_n,
        method_name, uri, request_body, upstream_states, headers_out.headers, headers_out.status, headers_out.content_type;
}
