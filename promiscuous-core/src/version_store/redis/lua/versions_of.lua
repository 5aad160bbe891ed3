-- The current versions of keys, and whether each is locked (section 8 of the protocol, step a). A key without a
-- version of this generation gets a new chain, with a mark (`s`): no message brings its first version.
--
-- KEYS  generation, then (dep, lock) of each key
-- ARGV  generation, server, TTL of versions (ms)
--
-- Answers {'LOST'}, {'STALE', stored generation}, or {'OK', version, locked as 0 or 1, marked as 0 or 1, …}.
local stored = redis.call('HMGET', KEYS[1], 'g', 'run_id')
if not stored[1] or stored[2] ~= ARGV[2] then
  return { 'LOST' }
end
if tonumber(stored[1]) ~= tonumber(ARGV[1]) then
  return { 'STALE', stored[1] }
end

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local answer = { 'OK' }
for i = 2, #KEYS, 2 do
  local hash = redis.call('HMGET', KEYS[i], 'g', 'w', 's')
  local version, mark = hash[2], hash[3]
  if not version or tonumber(hash[1]) < tonumber(ARGV[1]) then
    version, mark = now, '1'
    redis.call('DEL', KEYS[i])
    redis.call('HSET', KEYS[i], 'g', ARGV[1], 'w', version, 's', mark)
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
  local at = #answer
  answer[at + 1] = version
  answer[at + 2] = redis.call('EXISTS', KEYS[i + 1])
  answer[at + 3] = mark and 1 or 0
end
return answer
