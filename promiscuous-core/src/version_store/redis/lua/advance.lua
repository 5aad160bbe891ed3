-- Records what applied messages changed, and announces it (section 7 of the protocol). Doing it again changes nothing.
--
-- KEYS  the subscriber's hash of each key
-- ARGV  TTL (ms), channel to announce on or '' for silence, then steps:
--         'w', index in KEYS, name, generation, version, 1 when its readers cannot be known or 0
--         'b', the same for what the database knows: only where nothing is known here
--         'r', index in KEYS, name, generation, version, number of ordinals, then (endpoint, ordinal) of each
--
-- The hash: g, v   version that was applied last
--           u      1 when its readers are unknown
--           n:E    readers of endpoint E seen without a gap, from 1
--           o:E    further ones as ranges 'from-to,from-to': as long as there are gaps, not as there are readers

local ttl, channel = ARGV[1], ARGV[2]
local changed, order = {}, {}

local function news(name)
  if not changed[name] then
    changed[name] = true
    order[#order + 1] = name
  end
end

-- Compares versions: the generation first.
local function newer(generation, version, hash)
  if not hash[1] then
    return true
  end
  local known = tonumber(hash[1])
  return generation > known or (generation == known and version > tonumber(hash[2]))
end

-- Adds an ordinal to the ranges; answers the ranges as text, and how far the first numbers reach without a gap.
local function insert(ranges, up_to, ordinal)
  local from, to, after, out = ordinal, ordinal, {}, {}
  local function put(list, a, b)
    list[#list + 1] = string.format('%.0f-%.0f', a, b)
  end
  for a, b in string.gmatch(ranges, '(%d+)-(%d+)') do
    a, b = tonumber(a), tonumber(b)
    if b + 1 < from then
      put(out, a, b)
    elseif to + 1 < a then
      put(after, a, b)
    else
      from, to = math.min(from, a), math.max(to, b)
    end
  end
  if from == up_to + 1 then
    up_to = to
  else
    put(out, from, to)
  end
  for _, range in ipairs(after) do
    out[#out + 1] = range
  end
  return table.concat(out, ','), up_to
end

local at = 3
while at <= #ARGV do
  local key, name = KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2]
  local generation, version = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local hash = redis.call('HMGET', key, 'g', 'v', 'u')
  if ARGV[at] == 'w' or ARGV[at] == 'b' then
    if not hash[1] or (ARGV[at] == 'w' and newer(generation, version, hash)) then
      redis.call('DEL', key)
      redis.call('HSET', key, 'g', ARGV[at + 3], 'v', ARGV[at + 4])
      if ARGV[at + 5] == '1' then
        redis.call('HSET', key, 'u', '1')
      end
      news(name)
    end
    redis.call('PEXPIRE', key, ttl)
    at = at + 6
  else
    local count = tonumber(ARGV[at + 5])
    if hash[1] and tonumber(hash[1]) == generation and tonumber(hash[2]) == version then
      for i = 1, hash[3] and 0 or count do
        local endpoint, ordinal = ARGV[at + 4 + 2 * i], tonumber(ARGV[at + 5 + 2 * i])
        local seen = redis.call('HMGET', key, 'n:' .. endpoint, 'o:' .. endpoint)
        local up_to, ranges = tonumber(seen[1] or '0'), seen[2] or ''
        if ordinal > up_to then
          local merged, reached = insert(ranges, up_to, ordinal)
          if merged ~= ranges or reached ~= up_to then
            redis.call('HSET', key, 'n:' .. endpoint, string.format('%.0f', reached), 'o:' .. endpoint, merged)
            news(name)
          end
        end
      end
      redis.call('PEXPIRE', key, ttl)
    end
    at = at + 6 + 2 * count
  end
end

if channel ~= '' and #order > 0 then
  redis.call('PUBLISH', channel, table.concat(order, '\n'))
end
return #order
