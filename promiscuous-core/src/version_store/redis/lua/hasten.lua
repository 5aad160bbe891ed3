-- Brings an intent's deadline forward, never back (section 6 of the protocol).
--
-- KEYS  deadlines
-- ARGV  op, delay from now (ms)
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], 'XX', 'LT', string.format('%.0f', now_ms + tonumber(ARGV[2])), ARGV[1])
return 'OK'
