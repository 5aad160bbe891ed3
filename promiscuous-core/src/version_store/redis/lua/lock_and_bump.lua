-- Lock-and-bump (sections 4 and 5 of the protocol): checks the generation, takes the locks, counts the reads,
-- gives the written keys their next versions, and records the intent with its deadline. All of it or nothing.
--
-- KEYS  generation, intents, deadlines, then (dep, lock) of each written key, then (dep) of each read key
-- ARGV  op, generation, server, deadline (ms), TTL of versions (ms), early look after a takeover (ms),
--       number of endpoints, number of written keys, then the endpoints, the written and the read keys' names
--
-- Answers {'LOST'}, {'STALE', stored generation}, or {'OK', intent record as JSON, op taken over…}.
--
-- Versions are microseconds since 1970: exact as Lua numbers (below 2^53), but `tostring` and cjson keep only 14
-- digits. So numbers become text by '%.0f', and the record is put together by hand; keys are ASCII without quotes.

local op, generation, server = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local deadline, ttl, early = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local endpoints, writes = tonumber(ARGV[7]), tonumber(ARGV[8])
local endpoint_at, name_at = 8, 8 + endpoints

local stored = redis.call('HMGET', KEYS[1], 'g', 'run_id')
if not stored[1] or stored[2] ~= server then
  return { 'LOST' }
end
if tonumber(stored[1]) ~= generation then
  return { 'STALE', stored[1] }
end

local function text(number)
  return string.format('%.0f', number)
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now / 1000)

local taken_over, known = {}, {}
local write_json = {}
for i = 1, writes do
  local dep, lock, name = KEYS[2 + 2 * i], KEYS[3 + 2 * i], ARGV[name_at + i]

  -- The key of the app's total order has no row, so its holder may well be alive: no lock, and no early look.
  if string.sub(name, -2) ~= '/*' then
    local holder = redis.call('GET', lock)
    if holder and holder ~= op and not known[holder] then
      known[holder] = true
      taken_over[#taken_over + 1] = holder
      redis.call('ZADD', KEYS[3], 'XX', 'LT', text(now_ms + early), holder)
    end
    redis.call('SET', lock, op)
  end

  local previous, readers, version = nil, {}, now
  local fields = redis.call('HGETALL', dep)
  local hash = {}
  for f = 1, #fields, 2 do
    hash[fields[f]] = fields[f + 1]
  end
  if hash.w and tonumber(hash.g) >= generation then
    version = math.max(tonumber(hash.w) + 1, now)
    -- A version that only a sync has read was brought by no message: nobody may wait for it.
    previous = not hash.s and hash.w or nil
    for field, count in pairs(hash) do
      if string.sub(field, 1, 2) == 'r:' then
        readers[#readers + 1] = '"' .. string.sub(field, 3) .. '":' .. count
      end
    end
  end
  redis.call('DEL', dep)
  redis.call('HSET', dep, 'g', ARGV[2], 'w', text(version))
  redis.call('PEXPIRE', dep, ttl)
  write_json[i] = '{"key":"' .. name .. '","version":' .. text(version) .. ',"previous":' .. (previous or 'null')
    .. ',"readers":{' .. table.concat(readers, ',') .. '}}'
end

local read_json = {}
for i = 1, #KEYS - 3 - 2 * writes do
  local dep, name = KEYS[3 + 2 * writes + i], ARGV[name_at + writes + i]
  local hash = redis.call('HMGET', dep, 'g', 'w', 's')
  if hash[2] and not hash[3] and tonumber(hash[1]) >= generation then
    local ordinals = {}
    for e = 1, endpoints do
      local endpoint = ARGV[endpoint_at + e]
      ordinals[e] = '"' .. endpoint .. '":' .. text(redis.call('HINCRBY', dep, 'r:' .. endpoint, 1))
    end
    redis.call('PEXPIRE', dep, ttl)
    read_json[#read_json + 1] = '{"key":"' .. name .. '","version":' .. hash[2]
      .. ',"ordinals":{' .. table.concat(ordinals, ',') .. '}}'
  end
end

local record = '{"op":"' .. op .. '","generation":' .. ARGV[2] .. ',"write":[' .. table.concat(write_json, ',')
  .. '],"read":[' .. table.concat(read_json, ',') .. ']}'
redis.call('HSET', KEYS[2], op, record)
redis.call('ZADD', KEYS[3], text(now_ms + deadline), op)

local answer = { 'OK', record }
for i, holder in ipairs(taken_over) do
  answer[2 + i] = holder
end
return answer
