-- Makes the stored generation at least this one, and this server run the trusted one (section 4 of the protocol).
--
-- KEYS  generation
-- ARGV  generation, server
local stored = tonumber(redis.call('HGET', KEYS[1], 'g') or '0')
redis.call('HSET', KEYS[1], 'g', string.format('%.0f', math.max(stored, tonumber(ARGV[1]))), 'run_id', ARGV[2])
return 'OK'
