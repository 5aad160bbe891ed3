-- Makes the subscriber's cache another one, unless somebody has done so already (section 7 of the protocol). What was in the
-- old one counts as absent from then on. Answers with the id of the one that is there now.
--
-- KEYS  the cache
-- ARGV  id of the one that is over or '', id of the new one, the server run that it lives in
local current = redis.call('HGET', KEYS[1], 'id') or ''
if current ~= ARGV[1] then
  return current
end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'run_id', ARGV[3])
return ARGV[2]
