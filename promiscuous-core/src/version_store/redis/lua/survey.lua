-- How the publisher's part of this server is, for people. Changes nothing.
--
-- KEYS  generation, intents, deadlines
-- ARGV  server
--
-- Answers {generation or '', 1 when it is trusted or 0, intents, overdue ones}.
local stored = redis.call('HMGET', KEYS[1], 'g', 'run_id')
local time = redis.call('TIME')
local now_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local trusted = stored[1] and stored[2] == ARGV[1]
return {
  stored[1] or '',
  trusted and 1 or 0,
  redis.call('HLEN', KEYS[2]),
  redis.call('ZCOUNT', KEYS[3], '-inf', now_ms),
}
