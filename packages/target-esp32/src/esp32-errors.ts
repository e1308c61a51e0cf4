import { errorsOf } from '@reflash/core'

/** Every code that this package throws, or names as a reason of a refusal. docs/errors.md is generated from this table. */
export const esp32Errors = {
  IMAGE_REFUSED: {
    fault: 'invalid',
    means: 'A file is not an application image that an ESP32 can take over the air; `because` names every problem.',
    next: 'Read the reasons; `reflash inspect <file>` prints them all.',
  },
  IMAGE_EMPTY: { fault: 'invalid', means: 'The file has no bytes.', next: 'Push the application binary of the build, not a placeholder.' },
  IMAGE_UNKNOWN: {
    fault: 'invalid',
    means: 'The file has no image header: it is something else, or encrypted.',
    next: 'Push the plaintext application binary: a device with flash encryption encrypts while it writes.',
  },
  IMAGE_IS_BOOTLOADER: {
    fault: 'invalid',
    means: 'The file is a second-stage bootloader.',
    next: 'Push the application binary (build/<project>.bin), not bootloader.bin.',
  },
  IMAGE_IS_RAM_PROGRAM: {
    fault: 'invalid',
    means: 'The file is a program for RAM only: no segment of it lives in flash.',
    next: 'Push the application binary of an ESP-IDF, Arduino or esp-hal project.',
  },
  IMAGE_IS_MERGED_FLASH: {
    fault: 'invalid',
    means: 'The file is a merged flash dump (bootloader, partition table and perhaps applications), meant for a cable and an empty chip.',
    next: 'Push the application binary alone.',
  },
  IMAGE_IS_ESP8266: {
    fault: 'invalid',
    means: 'The file is an image for the ESP8266.',
    next: 'This target serves the ESP32 family; push it for a target that serves the ESP8266.',
  },
  IMAGE_IS_PARTITION_TABLE: {
    fault: 'invalid',
    means: 'The file is a partition table.',
    next: 'Push the application binary; a partition table is not updated over the air.',
  },
  IMAGE_TOO_LARGE: {
    fault: 'invalid',
    means: 'The file is larger than 16 MiB, the most that the bootloader maps for one application.',
    next: 'Push the application binary alone, without file systems.',
  },
  IMAGE_TRUNCATED: {
    fault: 'invalid',
    means: 'The file ends before the image does.',
    next: 'Build or copy it again; it was cut off.',
  },
  IMAGE_TRAILING: {
    fault: 'invalid',
    means: 'Bytes that belong to nothing follow the image.',
    next: 'Push the file as the build made it, without padding or attachments.',
  },
  IMAGE_HEADER: {
    fault: 'invalid',
    means: 'A field of the image header has a value that is not defined.',
    next: 'Build the image again with a current toolchain.',
  },
  IMAGE_CHECKSUM: {
    fault: 'invalid',
    means: 'The XOR checksum over the segments does not match.',
    next: 'Build or copy the file again; it was altered or damaged.',
  },
  IMAGE_HASH: {
    fault: 'invalid',
    means: 'The appended SHA-256 does not match.',
    next: 'Build or copy the file again; it was altered or damaged.',
  },
  CHIP_UNKNOWN: {
    fault: 'invalid',
    means: 'The chip id in the header belongs to no chip that this version knows.',
    next: 'Update this package if the chip is new.',
  },
  CHIP_REVISION_RANGE: {
    fault: 'invalid',
    means: 'The least chip revision that the image asks for is above its greatest.',
    next: 'Correct the chip revisions in the project configuration.',
  },
  SEGMENT_COUNT: {
    fault: 'invalid',
    means: 'The header does not declare 1 to 16 segments.',
    next: 'Build or copy the file again; it was altered or damaged.',
  },
  SEGMENT_LENGTH: {
    fault: 'invalid',
    means: 'A segment is not a multiple of 4 bytes, or reaches beyond 16 MiB.',
    next: 'Build or copy the file again; it was altered or damaged.',
  },
  SEGMENT_MAPPING: {
    fault: 'invalid',
    means: 'A segment that runs from flash does not lie where the memory mapping needs it.',
    next: 'Build the image for this chip with a current toolchain; its page size must be that of the bootloader.',
  },
  APP_DESCRIPTOR_MISSING: {
    fault: 'invalid',
    means: 'The first segment does not begin with an application descriptor, so version and security version are unknown.',
    next: 'Build with ESP-IDF 3.3 or newer; in Rust, add the descriptor of esp-bootloader-esp-idf.',
  },
  EFUSE_REVISION_RANGE: {
    fault: 'invalid',
    means: 'The least eFuse block revision that the image asks for is above its greatest.',
    next: 'Correct the eFuse block revisions in the project configuration.',
  },
  SECURE_VERSION_RANGE: {
    fault: 'invalid',
    means: 'The security version is greater than the eFuse of the chip can ever hold.',
    next: 'Lower CONFIG_BOOTLOADER_APP_SECURE_VERSION.',
  },
  MMU_PAGE_SIZE: {
    fault: 'invalid',
    means: 'The MMU page size in the application descriptor is none of 8, 16, 32 or 64 KiB.',
    next: 'Build or copy the file again; it was altered or damaged.',
  },
  SIGNATURE_BLOCK: {
    fault: 'invalid',
    means: 'The secure boot signature sector is damaged, or was made for other bytes.',
    next: 'Sign the image again with espsecure.',
  },

  WRONG_CHIP: {
    fault: 'invalid',
    means: 'The image is for another chip than the device has.',
    next: 'Push an image for this chip and name its platform.',
  },
  CHIP_NOT_SERVED: {
    fault: 'invalid',
    means: 'The image is for a chip that `esp32Target({ chips })` leaves out.',
    next: 'Add the chip to the option, or push an image for a chip that is served.',
  },
  CHIP_REVISION: {
    fault: 'invalid',
    means: 'The image does not run on the chip revision of the device.',
    next: 'Build the image for this revision.',
  },
  EFUSE_BLOCK_REVISION: {
    fault: 'invalid',
    means: 'The image does not run with the eFuse block revision of the device.',
    next: 'Build the image for this eFuse block revision.',
  },
  IMAGE_LARGER_THAN_SLOT: {
    fault: 'invalid',
    means: 'The image, rounded up to whole 4 KiB sectors, does not fit into the slot.',
    next: 'Make the image smaller; slots cannot grow over the air.',
  },
  SECURE_VERSION_LOWER: {
    fault: 'rejected',
    means: 'The security version of the image is below the one burned into the device (anti-rollback).',
    next: 'Release an image with at least this security version; the device will boot no other.',
  },
  SIGNATURE_REQUIRED: {
    fault: 'rejected',
    means: 'The device has secure boot, and the image does not carry a signature of that scheme.',
    next: 'Sign the image with espsecure for the secure boot version of the device.',
  },
  NO_SECOND_SLOT: {
    fault: 'unsupported',
    means: 'The device has no slot beside the one that it runs from.',
    next: 'Flash a partition table with two OTA slots over a cable.',
  },
  UPDATE_PENDING: {
    fault: 'unavailable',
    means: 'The running image has not been kept yet (PENDING_VERIFY); ESP-IDF refuses a further update until then.',
    next: 'Try again after the device has confirmed its image or rolled back.',
  },
  ESP32_ATTRIBUTE_INVALID: {
    fault: 'invalid',
    means: 'An attribute that the device reports has the wrong type.',
    next: 'Correct the agent on the device; the README lists the attributes.',
  },
  ESP32_FACTS_INVALID: {
    fault: 'invalid',
    means: 'The facts of an image were not made by this target.',
    next: 'Inspect the image again.',
  },
  ESP32_PLAN_INVALID: {
    fault: 'invalid',
    means: 'A stored plan is not one that this target made.',
    next: 'Plan the update again; the journal was altered or is of another version.',
  },

  PARTITION_TABLE_INVALID: {
    fault: 'invalid',
    means: 'The partition table is damaged or describes an impossible layout; `because` names every problem.',
    next: 'Flash a partition table over a cable.',
  },
  OTADATA_MISSING: {
    fault: 'unsupported',
    means: 'The partition table has no otadata partition, so that the device cannot be switched between slots.',
    next: 'Flash a partition table with otadata and two OTA slots over a cable.',
  },
  OTADATA_INVALID: {
    fault: 'invalid',
    means: 'Bytes are no entry of otadata, because there are fewer than 32.',
    next: 'Pass the 32 bytes that stand at the start of each of its two sectors.',
  },
  OTADATA_EXHAUSTED: {
    fault: 'unsupported',
    means: 'The sequence number in otadata cannot grow any more.',
    next: 'Erase the otadata partition over a cable.',
  },
  OTADATA_NOT_WRITTEN: {
    fault: 'unavailable',
    means: 'What was read back from otadata is not what was written.',
    next: 'Try again; if it stays, the flash is worn or write-protected.',
  },
  SLOT_CHANGED: {
    fault: 'invalid',
    means: 'The slot of the plan is not the one that the device would update now.',
    next: 'Plan the update again.',
  },
  SLOT_CONTENT: {
    fault: 'rejected',
    means: 'The slot does not hold, byte for byte, the image of the plan; the device was not switched.',
    next: 'Deliver the image again.',
  },
  IMAGE_OTHER_THAN_PLANNED: {
    fault: 'rejected',
    means: 'The image that is to be delivered is not the one of the plan.',
    next: 'Plan the update again for this image.',
  },
  NO_PREVIOUS_SLOT: {
    fault: 'unsupported',
    means: 'No other slot holds an image that boots, so there is nothing to go back to.',
    next: 'Install another image over a cable or over the air.',
  },
  FLASH_PROTECTED: {
    fault: 'internal',
    means: 'The driver was about to touch flash outside the slot or otadata sector that it may write; nothing was written.',
    next: 'Report it: this is a bug.',
  },
  FLASH_READ_SHORT: {
    fault: 'unavailable',
    means: 'The port returned another number of bytes than was asked for.',
    next: 'Look at the cable or probe, and try again.',
  },

  SERIAL_UNAVAILABLE: {
    fault: 'unavailable',
    means: 'A serial port cannot be opened, or its line has ended.',
    next: 'Look at the cable, the name of the port, who else has it open, and your right to use it (on Linux the group dialout).',
  },
  SERIAL_ADDON_MISSING: {
    fault: 'unsupported',
    means: 'The package serialport, which opens ports of this machine, is not installed or has no build for it.',
    next: 'Run `npm install serialport`, or reach the port through a server of serial ports with socket://<host>:<port>.',
  },
  SERIAL_CLOSED: {
    fault: 'invalid',
    means: 'A serial connection or transport was used after its end.',
    next: 'Connect again.',
  },
  SERIAL_NO_ANSWER: {
    fault: 'unavailable',
    means: 'The chip did not answer in time.',
    next: 'Bring it into its ROM loader (hold BOOT, press RESET), look at the cable, or choose a lower baud rate.',
  },
  SERIAL_DAMAGED: {
    fault: 'unavailable',
    means: 'What stands in flash is not what was sent, by its MD5, however often it was tried.',
    next: 'Choose a lower baud rate or a shorter cable; if it stays, the flash is worn.',
  },
  ROM_REFUSED: {
    fault: 'unavailable',
    means: 'The ROM loader of the chip refused a command; `details.code` is its reason.',
    next: 'Try again at a lower baud rate; a command that is not known belongs to another chip.',
  },
  ROM_RESPONSE_INVALID: {
    fault: 'invalid',
    means: 'Bytes are no response of a ROM loader.',
    next: 'Look at the cable and at what else prints on that line.',
  },
  CHIP_NOT_SUPPORTED: {
    fault: 'unsupported',
    means: 'What is at the other end of the cable is no chip of the ESP32 family that this version knows.',
    next: 'Update this package if the chip is new.',
  },
  CHIP_LOCKED: {
    fault: 'unsupported',
    means: 'The chip was locked so that flash cannot be written and verified over a cable: Secure Download Mode, or flash encryption.',
    next: 'Update it over the air, by the application that it runs.',
  },
  FLASH_SIZE_UNKNOWN: {
    fault: 'unsupported',
    means: 'The flash does not say how large it is.',
    next: 'Pass `flashBytes` (`--flash-size` on the command line).',
  },
  FLASH_RANGE: {
    fault: 'invalid',
    means: 'A read, erase or write reaches beyond the flash, or an erase is not of whole sectors.',
    next: 'Correct the offset or length that the message names.',
  },

  BUILD_INVALID: {
    fault: 'invalid',
    means: 'An image, partition table or otadata entry cannot be built from these values.',
    next: 'Correct the value that the message names.',
  },
  VIRTUAL_FLASH: {
    fault: 'invalid',
    means: 'A virtual flash was accessed outside its size or not on sector boundaries, or its file cannot be used.',
    next: 'Correct the offset, length or path that the message names.',
  },
  VIRTUAL_DEVICE: {
    fault: 'invalid',
    means: 'A virtual ESP32 cannot do this in its present state.',
    next: 'Read the message; boot the device or use another folder.',
  },
} as const

export const fail = errorsOf(esp32Errors)

/** A code of this package. */
export type Esp32Code = keyof typeof esp32Errors
