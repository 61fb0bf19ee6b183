# For ports that build with CMake (rp2, esp32): USER_C_MODULES=/path/to/usermod/micropython.cmake

include(${CMAKE_CURRENT_LIST_DIR}/ebnn/micropython.cmake)
