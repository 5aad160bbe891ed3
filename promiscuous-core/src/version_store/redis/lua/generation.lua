-- The stored generation, if it can be trusted (section 4 of the protocol). Otherwise the refusal is remembered, so that whoever
-- raises the generation does so for this loss and not for a later one.
--
-- KEYS  generation
-- ARGV  server, the lowest generation that will do, token for a refusal
--
-- Answers {'OK', generation} or {'REFUSED', token, server, stored generation or ''}.
local stored = redis.call('HMGET', KEYS[1], 'g', 'run_id', 'refused')
if stored[1] and stored[2] == ARGV[1] and tonumber(stored[1]) >= tonumber(ARGV[2]) then
  return { 'OK', stored[1] }
end
local token = stored[3]
if not token then
  token = ARGV[3]
  redis.call('HSET', KEYS[1], 'refused', token)
end
return { 'REFUSED', token, ARGV[1], stored[1] or '' }
