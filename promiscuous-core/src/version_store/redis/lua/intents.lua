-- The intent records, the earliest deadline first (section 6 of the protocol). Changes nothing.
--
-- KEYS  intents, deadlines
-- ARGV  how many at the most
if tonumber(ARGV[1]) < 1 then
  return {}
end
local records = {}
for _, op in ipairs(redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)) do
  local record = redis.call('HGET', KEYS[1], op)
  if record then
    records[#records + 1] = record
  end
end
return records
