-- The JSON documents that launcher and worker share, as much of JSON as they hold.
-- An array is a table that `list` made, or that has a first element; null is nil.

local M = {}

local LIST = {}

-- Mark a table as an array, which an empty one does not show.
function M.list(items)
  return setmetatable(items or {}, LIST)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function go_on() end

-- Return a value as JSON; `pause`, if given, is called often.
function M.encode(value, pause)
  local kind = type(value)
  if kind == "table" then
    local parts = {};
    (pause or go_on)()
    if getmetatable(value) == LIST or value[1] ~= nil then
      for number = 1, #value do parts[number] = M.encode(value[number], pause) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for key, each in pairs(value) do parts[#parts + 1] = quote(key) .. ":" .. M.encode(each, pause) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif kind == "string" then
    return quote(value)
  elseif math.type(value) == "float" then
    assert(value == value and math.abs(value) ~= math.huge, "JSON has no such number")
    return ("%.17g"):format(value)
  end
  return tostring(value)
end

local CHARACTERS = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function unquote(text)
  local high
  return (text:gsub("\\(.)(%x?%x?%x?%x?)", function(letter, digits)
    if letter ~= "u" then return (CHARACTERS[letter] or letter) .. digits end
    local code = tonumber(digits, 16)
    if code >= 0xD800 and code < 0xDC00 then
      high = code
      return ""
    end
    if code >= 0xDC00 and code < 0xE000 and high then code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 end
    return utf8.char(code)
  end))
end

local decode

local function decode_string(text, place)
  local stop = place
  repeat
    stop = text:find('["\\]', stop + 1)
    if not stop then error("a text has no end", 0) end
    local is_end = text:byte(stop) == 34
    if not is_end then stop = stop + 1 end
  until is_end
  local inner = text:sub(place + 1, stop - 1)
  return inner:find("\\", 1, true) and unquote(inner) or inner, stop + 1
end

local function decode_list(text, place, pause)
  local found, number = M.list(), 0
  place = text:find("%S", place + 1)
  while text:sub(place, place) ~= "]" do
    number = number + 1
    found[number], place = decode(text, place, pause)
    place = text:match("^%s*,?%s*()", place)
  end
  return found, place + 1
end

local function decode_object(text, place, pause)
  local found, key = {}, nil
  place = text:find("%S", place + 1)
  while text:sub(place, place) ~= "}" do
    key, place = decode(text, place, pause)
    found[key], place = decode(text, text:match("^%s*:%s*()", place), pause)
    place = text:match("^%s*,?%s*()", place)
  end
  return found, place + 1
end

local WORDS = { ["true"] = true, ["false"] = false }

decode = function(text, place, pause)
  local first = text:sub(place, place)
  if first == '"' then return decode_string(text, place) end
  pause()
  if first == "{" then return decode_object(text, place, pause) end
  if first == "[" then return decode_list(text, place, pause) end
  local word, stop = text:match("^([%w.+-]+)()", place)
  if not word then error("no JSON at " .. place, 0) end
  if word == "null" then return nil, stop end
  local value = WORDS[word]
  if value == nil then value = tonumber(word) end
  if value == nil then error("no JSON: " .. word, 0) end
  return value, stop
end

-- Return what a text holds; nil and a message where it is no JSON. `pause`, if given, is called often.
function M.decode(text, pause)
  local is_right, value = pcall(decode, text, text:find("%S") or 1, pause or go_on)
  if is_right then return value end
  return nil, tostring(value)
end

function M.read_text(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

-- Write a new document in one step; return whether that could be done, and why not.
function M.write(path, document, pause)
  local file, why = io.open(path .. ".new", "wb")
  if not file then return false, why end
  local is_done = file:write(M.encode(document, pause)) and file:close()
  if not is_done then return false, "the disk is full" end
  return os.rename(path .. ".new", path)
end

-- Make a file whose being there is the message; it may hold more.
function M.touch(path, words)
  local file = io.open(path, "wb")
  if not file then return end
  file:write(words or "")
  file:close()
end

function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

return M
