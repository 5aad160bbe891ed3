-- Records what applied messages changed, and announces it (section 7 of the protocol). Doing it again changes nothing.
--
-- KEYS  the cache (who it is), then the subscriber's hash of each key
-- ARGV  TTL (ms), channel to announce on or '' for silence, the cache that the caller means or '' for any, then steps:
--         'w', index in KEYS, name, generation, version, 1 when its readers cannot be known or 0
--         'b', the same for what the database knows: only where nothing is known here
--         'r', index in KEYS, name, generation, version, number of ordinals, then (endpoint, ordinal) of each
--
-- Answers -1 when the caller means another cache: nothing was done then. Otherwise, for each 'b', 1 when that is what is known now.
--
-- The hash: e      the cache that it belongs to; one of another cache counts as absent
--           g, v   version that was applied last
--           m      1 when somebody applied that version while nothing was known here: there may be more in the database,
--                  whose readers may have been missed. Only what is read there, and is as new, replaces it.
--           u      1 when its readers are unknown
--           n:E    readers of endpoint E seen without a gap, from 1
--           o:E    further ones as ranges 'from-to,from-to': as long as there are gaps, not as there are readers

local ttl, channel, meant = ARGV[1], ARGV[2], ARGV[3]
local cache = redis.call('HGET', KEYS[1], 'id')
if meant ~= '' and meant ~= cache then
  return -1
end
local changed, order, told = {}, {}, {}

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
  local function add(list, a, b)
    list[#list + 1] = string.format('%.0f-%.0f', a, b)
  end
  for a, b in string.gmatch(ranges, '(%d+)-(%d+)') do
    a, b = tonumber(a), tonumber(b)
    if b + 1 < from then
      add(out, a, b)
    elseif to + 1 < a then
      add(after, a, b)
    else
      from, to = math.min(from, a), math.max(to, b)
    end
  end
  if from == up_to + 1 then
    up_to = to
  else
    add(out, from, to)
  end
  for _, range in ipairs(after) do
    out[#out + 1] = range
  end
  return table.concat(out, ','), up_to
end

-- What the hash says: generation, version, whether its readers are unknown, whether there may be more.
local function known(key)
  local hash = redis.call('HMGET', key, 'g', 'v', 'u', 'm', 'e')
  return hash[5] == cache and hash or {}
end

local function put(key, at, mark)
  redis.call('DEL', key)
  redis.call('HSET', key, 'e', cache, 'g', ARGV[at + 3], 'v', ARGV[at + 4])
  if mark then
    redis.call('HSET', key, 'm', '1')
  elseif ARGV[at + 5] == '1' then
    redis.call('HSET', key, 'u', '1')
  end
  redis.call('PEXPIRE', key, ttl)
end

local at = 4
while at <= #ARGV do
  local key, name = KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2]
  local generation, version = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  -- Without a cache there is nothing to keep right: whoever makes one reads the database after that.
  local hash = cache and known(key) or {}
  if ARGV[at] == 'w' then
    if newer(generation, version, hash) then
      if cache then
        put(key, at, not hash[1] or hash[4])
      end
      news(name)
    elseif cache then
      redis.call('PEXPIRE', key, ttl)
    end
    at = at + 6
  elseif ARGV[at] == 'b' then
    if not hash[1] or (hash[4] and not newer(tonumber(hash[1]), tonumber(hash[2]), { ARGV[at + 3], ARGV[at + 4] })) then
      put(key, at, false)
      told[#told + 1] = 1
    else
      told[#told + 1] = 0
    end
    at = at + 6
  else
    local count = tonumber(ARGV[at + 5])
    if hash[1] and not hash[4] and tonumber(hash[1]) == generation and tonumber(hash[2]) == version then
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
return told
