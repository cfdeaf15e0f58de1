/*
 * The checksum of Redis dumps: CRC-64 "Jones", polynomial 0xad93d23594c935a9, reflected, starting from 0, not inverted.
 * Of "123456789" it is 0xe9c6d914c4b8d9ca.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* `crc` of all before, and these bytes. Thread-safe. */
uint64_t rdb_crc(uint64_t crc, const void *bytes, size_t len);
