-- The intent records whose deadline has passed by this server's clock, oldest first (section 6 of the protocol).
-- A deadline without a record has nothing left to settle, and goes.
--
-- KEYS  intents, deadlines
-- ARGV  how many at the most
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ops = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, ARGV[1])
local records = {}
for _, op in ipairs(ops) do
  local record = redis.call('HGET', KEYS[1], op)
  if record then
    records[#records + 1] = record
  else
    redis.call('ZREM', KEYS[2], op)
  end
end
return records
